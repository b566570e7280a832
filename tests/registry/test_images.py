"""From a push to the list and to the end of an image: notifications, the sweep, deletes."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from maxcloud import catalogue, distribution, registry
from maxcloud.errors import TemporaryError
from maxcloud.registry import Access
from maxcloud.roles import Role
from maxcloud.store.database import Database
from tests.functions.people import Organisation, caller, installation
from tests.functions.support import assert_refusal
from tests.journeys.platform import eventually
from tests.ports import free_port
from tests.registry.world import INDEX, MANIFEST, SIGNING, World, add_revision
from tests.store.support import execute

IMAGES = "/api/v1/registry/images"


@pytest.fixture
def org(world: World) -> Organisation:
    return Organisation(world.database)


@pytest.fixture
def http(world: World, org: Organisation) -> Iterator[httpx.Client]:
    with caller(world.url, org.key(Role.DEPLOY)) as client:
        yield client


@pytest.fixture
async def worker(world: World, anyio_backend: str) -> AsyncIterator[Database]:
    opened = Database(world.database.worker)
    yield opened
    await opened.close()


def listed(http: httpx.Client) -> dict[str, list[str]]:
    """The digests with their tags."""
    answer = http.get(IMAGES)
    assert answer.status_code == 200, answer.text
    return {image["digest"]: image["tags"] for image in answer.json()}


def until_listed(http: httpx.Client, wanted: dict[str, list[str]]) -> None:
    eventually("images", lambda: listed(http), 20, lambda seen: seen == wanted)


def test_a_push_is_listed_with_its_size_and_age(
    world: World, org: Organisation, http: httpx.Client
) -> None:
    digest = world.push(f"{org.id}/team/shop", "v1")
    until_listed(http, {digest: ["v1"]})
    [image] = http.get(IMAGES).json()
    assert set(image) == {"name", "tags", "digest", "size_bytes", "created_at"}
    assert image["name"] == "team/shop"
    assert 40 < image["size_bytes"] < 400


def test_a_tag_that_moves_and_a_second_one(
    world: World, org: Organisation, http: httpx.Client
) -> None:
    repository = f"{org.id}/shop"
    first = world.push(repository, "v1")
    until_listed(http, {first: ["v1"]})
    second = world.push(repository, "v1")
    until_listed(http, {second: ["v1"]})
    manifest = world.ask(
        "GET",
        f"{repository}/manifests/{second}",
        Access(repository, ("pull",)),
        headers={"Accept": MANIFEST},
    )
    world.put(repository, "latest", manifest.content, MANIFEST)
    until_listed(http, {second: ["latest", "v1"]})
    generations = "select generation from images where org_id = %s and tag = 'v1'"
    assert execute(org.database.owner, generations, org.id) == [(2,)]


def test_an_index_is_as_large_as_its_images(
    world: World, org: Organisation, http: httpx.Client
) -> None:
    repository = f"{org.id}/multi"
    parts = [world.push(repository, f"part{number}", "x" * 1000) for number in (1, 2)]
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": {"os": "linux"}}
            for digest in parts
        ],
    }
    digest = world.put(repository, "all", json.dumps(index).encode(), INDEX)
    until_listed(http, {parts[0]: ["part1"], parts[1]: ["part2"], digest: ["all"]})
    sizes = {image["digest"]: image["size_bytes"] for image in http.get(IMAGES).json()}
    assert sizes[digest] == sizes[parts[0]] + sizes[parts[1]]


def test_the_newest_of_an_image_comes_first_and_pages_hold_all(
    world: World, org: Organisation, http: httpx.Client
) -> None:
    wanted = []
    for name in ("b", "a"):
        for tag in ("1", "2", "3"):
            digest = world.push(f"{org.id}/{name}", tag)
            eventually("push", lambda d=digest: listed(http), 20, lambda seen, d=digest: d in seen)  # type: ignore[misc]
            wanted.append((name, tag))
    seen: list[tuple[str, str]] = []
    link: str | None = f"{IMAGES}?limit=4"
    while link:
        answer = http.get(link)
        seen += [(image["name"], image["tags"][0]) for image in answer.json()]
        link = answer.links.get("next", {}).get("url")
    assert seen == [("a", "3"), ("a", "2"), ("a", "1"), ("b", "3"), ("b", "2"), ("b", "1")]


def test_nobody_sees_or_deletes_what_is_anothers(
    world: World, org: Organisation, http: httpx.Client
) -> None:
    theirs = Organisation(world.database)
    digest = world.push(f"{theirs.id}/shop", "v1")
    with caller(world.url, theirs.key()) as owner:
        until_listed(owner, {digest: ["v1"]})
    assert listed(http) == {}
    for name in ("shop", f"{theirs.id}/shop", f"../{theirs.id}/shop", "%2e%2e/shop"):
        assert_refusal(http.delete(f"{IMAGES}/{name}/tags/v1"), "not_found")
    assert world.digest(f"{theirs.id}/shop", "v1") == digest


def test_a_tag_goes_and_with_the_last_one_the_build(
    world: World, org: Organisation, http: httpx.Client
) -> None:
    repository = f"{org.id}/shop"
    digest = world.push(repository, "v1", "same")
    assert world.push(repository, "v2", "other") != digest
    until = eventually("pushes", lambda: listed(http), 20, lambda seen: len(seen) == 2)
    assert digest in until
    assert http.delete(f"{IMAGES}/shop/tags/v1").status_code == 204
    assert digest not in listed(http)
    assert world.digest(repository, "v1") is None
    assert world.digest(repository, digest) is None
    assert_refusal(http.delete(f"{IMAGES}/shop/tags/v1"), "not_found")
    assert list(listed(http).values()) == [["v2"]]


def test_what_serves_stays_and_what_does_not_goes(
    world: World, org: Organisation, http: httpx.Client
) -> None:
    repository = f"{org.id}/shop"
    old, new = world.push(repository, "old"), world.push(repository, "new")
    until_listed(http, {old: ["old"], new: ["new"]})
    name = add_revision(world, org, f"s-{org.id.hex[:8]}", repository, new)
    refused = http.delete(f"{IMAGES}/shop/tags/new")
    assert name in assert_refusal(refused, "image_in_use")
    assert http.delete(f"{IMAGES}/shop/tags/old").status_code == 204
    assert listed(http) == {new: ["new"]}
    # A split between revisions counts as well as the newest one.
    split = json.dumps([{"revision": name, "percent": 100}])
    update = "update services set traffic = %s, latest_revision = 'x', ready_revision = 'x'"
    execute(org.database.owner, f"{update} where org_id = %s", split, org.id)
    assert_refusal(http.delete(f"{IMAGES}/shop/tags/new"), "image_in_use")
    everywhere = json.dumps([{"revision": "latest", "percent": 100}])
    execute(
        org.database.owner, "update services set traffic = %s where org_id = %s", everywhere, org.id
    )
    assert http.delete(f"{IMAGES}/shop/tags/new").status_code == 204


@pytest.mark.parametrize("name", ["shop/tags/-x", "shop/tags/a%20b", "Shop/tags/v1", "a//b/tags/v"])
def test_what_no_image_is_called(http: httpx.Client, name: str) -> None:
    assert_refusal(http.delete(f"{IMAGES}/{name}"), "not_found")


def test_a_reader_deletes_nothing(world: World, org: Organisation) -> None:
    with caller(world.url, org.key(Role.READ)) as reader:
        assert_refusal(reader.delete(f"{IMAGES}/shop/tags/v1"), "forbidden")


def inside(world: World) -> str:
    return world.settings.hook


def event(action: str = "push", **target: Any) -> dict[str, Any]:
    return {"events": [{"action": action, "target": {"digest": "sha256:0", **target}}]}


def secret(world: World) -> dict[str, str]:
    return {"Authorization": f"Bearer {registry.hook_secrets([SIGNING])[0]}"}


def test_a_notification_is_a_hint(world: World, org: Organisation, http: httpx.Client) -> None:
    """What is forged, doubled or late says no more than: look there."""
    forged = event(repository=f"{org.id}/shop", tag="v1", digest=f"sha256:{'0' * 64}")
    nobodys = event(repository="00000000-0000-0000-0000-00000000dead/shop", tag="v1")
    elsewhere = event(repository="library/nginx", tag="v1")
    bodies: list[dict[str, Any]] = [forged, nobodys, elsewhere, {"events": []}]
    for body in bodies:
        answer = httpx.post(inside(world), json=body, headers=secret(world))
        assert (answer.status_code, answer.content) == (204, b"")
    assert listed(http) == {}
    digest = world.push(f"{org.id}/shop", "v1")
    for _ in range(2):
        assert httpx.post(inside(world), json=forged, headers=secret(world)).status_code == 204
    assert listed(http) == {digest: ["v1"]}


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer \xff".encode()}]
)
def test_a_notification_without_the_secret_is_refused(
    world: World, headers: dict[str, Any]
) -> None:
    answer = httpx.post(inside(world), json={"events": []}, headers=headers)
    assert_refusal(answer, "unauthenticated")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b'{"events": 1}', b'{"events": [1]}', b'{"events": [{"target": []}]}'),
        *(b'{"events": [{"target": {"repository": 1}}]}', b"[" * 100_000, b"\xff"),
    ],
)
def test_a_notification_that_is_none(world: World, body: bytes) -> None:
    answer = httpx.post(inside(world), content=body, headers=secret(world))
    assert_refusal(answer, "malformed")


def test_from_outside_there_is_no_such_path(world: World) -> None:
    answer = httpx.post(f"{world.url}/notifications", json={}, headers=secret(world))
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.anyio
async def test_the_sweep_finds_what_no_notification_said(
    world: World, org: Organisation, http: httpx.Client, worker: Database
) -> None:
    repository = f"{org.id}/shop"
    digests = [world.push(repository, f"v{number}") for number in (1, 2)]
    await asyncio.to_thread(until_listed, http, {digests[0]: ["v1"], digests[1]: ["v2"]})
    # As if nothing had been said of the first, and the second were another one that is gone.
    execute(org.database.owner, "delete from images where org_id = %s and tag = 'v1'", org.id)
    execute(
        org.database.owner,
        "update images set tag = 'gone' where org_id = %s and tag = 'v2'",
        org.id,
    )
    news = await swept(world, worker)
    assert {row.tag for row in news if row.org_id == org.id} == {"v1", "v2"}
    assert listed(http) == {digests[0]: ["v1"], digests[1]: ["v2"]}
    assert [row for row in await swept(world, worker) if row.org_id == org.id] == []


async def swept(world: World, worker: Database) -> list[Any]:
    """One whole round, however many turns it takes."""
    news = await catalogue.sweep(world.config, worker)
    while await asyncio.to_thread(position, world):
        news += await catalogue.sweep(world.config, worker)
    return news


def position(world: World) -> str:
    [(found,)] = execute(world.database.worker, "select position from sweep_positions")
    return str(found)


@pytest.mark.anyio
async def test_a_sweep_goes_on_where_the_last_one_ended(
    world: World,
    org: Organisation,
    http: httpx.Client,
    worker: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digests = {world.push(f"{org.id}/{name}", "v1"): ["v1"] for name in ("a", "b", "c")}
    await asyncio.to_thread(until_listed, http, digests)
    await swept(world, worker)
    execute(org.database.owner, "delete from images where org_id = %s", org.id)
    monkeypatch.setattr(catalogue, "SWEEP_REPOSITORIES", 1)
    found = [[row.name for row in await catalogue.sweep(world.config, worker)]]
    while await asyncio.to_thread(position, world):
        found.append([row.name for row in await catalogue.sweep(world.config, worker)])
    assert [names for names in found if names] == [["a"], ["b"], ["c"]]


@pytest.mark.anyio
async def test_what_a_revision_runs_gets_a_tag_that_outlives_the_others(
    world: World, org: Organisation, http: httpx.Client, worker: Database
) -> None:
    repository, service = f"{org.id}/shop", f"s-{org.id.hex[:8]}"
    digest = world.push(repository, "v1")
    await asyncio.to_thread(until_listed, http, {digest: ["v1"]})
    name = add_revision(world, org, service, repository, digest)
    await swept(world, worker)
    await asyncio.to_thread(until_listed, http, {digest: [f"maxcloud.{name}", "v1"]})
    newer = world.push(repository, "v1")
    await asyncio.to_thread(until_listed, http, {digest: [f"maxcloud.{name}"], newer: ["v1"]})
    # It goes with its service, and only when a tombstone says that this is gone.
    execute(org.database.owner, "delete from services where org_id = %s", org.id)
    await swept(world, worker)
    assert world.digest(repository, f"maxcloud.{name}") == digest
    execute(
        org.database.owner,
        "insert into tombstones (service_id, org_id, name, generation)"
        " values (gen_random_uuid(), %s, %s, 1)",
        *(org.id, service),
    )
    await swept(world, worker)
    assert world.digest(repository, f"maxcloud.{name}") is None
    await asyncio.to_thread(until_listed, http, {newer: ["v1"]})


@pytest.mark.anyio
async def test_a_registry_that_is_away(
    world: World, org: Organisation, apis: Any, worker: Database
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    away = dataclasses.replace(world.config, registry_address=nowhere)
    with pytest.raises(TemporaryError, match="the registry cannot be reached"):
        await catalogue.sweep(away, worker)
    with (
        installation(
            apis, world.database, registry_secrets=(SIGNING,), registry_address=nowhere
        ) as url,
        caller(url, org.key()) as http,
    ):
        answer = await asyncio.to_thread(http.delete, f"{IMAGES}/shop/tags/v1")
        assert "cannot be reached" in assert_refusal(answer, "unavailable")
        assert answer.headers["retry-after"]
    assert distribution.ANSWER_SECONDS <= 10

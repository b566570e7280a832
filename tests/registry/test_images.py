"""From a push to the list, and to the end of an image."""

import json

import httpx
import pytest

from maxcloud.registry import Access
from maxcloud.roles import Role
from tests.functions.people import Organisation, caller
from tests.functions.support import assert_refusal
from tests.journeys.platform import eventually
from tests.registry.listing import IMAGES, listed, until_listed
from tests.registry.world import INDEX, MANIFEST, World, add_revision
from tests.store.support import execute


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

"""What the sweep finds in the registry, and what it keeps there."""

import asyncio
import dataclasses
from typing import Any

import httpx
import pytest

from maxcloud import catalogue, distribution
from maxcloud.errors import TemporaryError
from maxcloud.store.database import Database
from tests.functions.people import Organisation, caller, installation
from tests.functions.support import assert_refusal
from tests.ports import free_port
from tests.registry.listing import IMAGES, listed, until_listed
from tests.registry.world import SIGNING, World, add_revision
from tests.store.support import execute

pytestmark = pytest.mark.anyio


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

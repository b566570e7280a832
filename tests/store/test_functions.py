"""The rows of the platform's own functions: written as the cluster is seen, and only read."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from maxcloud import system
from maxcloud.functions import Function, Revision
from maxcloud.models import Template
from maxcloud.store import api_keys, convergence, functions, revisions, service_events, services
from maxcloud.store.database import Database
from maxcloud.store.services import ServiceRow
from tests.conftest import TestDatabase
from tests.store.support import MADE, execute

pytestmark = pytest.mark.anyio

NAME, ID = "services", system.service_id("services")
IMAGE = f"ghcr.io/you/functions@sha256:{'a' * 64}"


def revision(generation: int, image: str = IMAGE, **settings: Any) -> Revision:
    template = Template.model_construct(image=image, max_scale=20, **settings)
    return Revision(
        generation=generation,
        name=f"{NAME}-{generation:05d}",
        image=image,
        digest=image.partition("@")[2],
        template=template.model_dump(mode="json"),
        created_at=MADE,
        is_ready=True,
    )


def seen(*generations: int, version: int = 100, **changes: Any) -> Function:
    newest = f"{NAME}-{generations[-1]:05d}"
    function = Function(
        name=NAME,
        revisions=tuple(map(revision, generations)),
        traffic=({"revision": "latest", "percent": 100},),
        status="ready",
        reason="",
        message="",
        ready_revision=newest,
        made_at=MADE,
        version=version,
    )
    return replace(function, **changes)


async def row(db: Database) -> ServiceRow:
    return await services.get(db, system.ORG_ID, NAME)


async def history(db: Database) -> list[tuple[int, str]]:
    found = await service_events.of_service(db, system.ORG_ID, ID)
    return [(event.generation, event.status) for event in reversed(found)]


async def names(db: Database) -> list[str]:
    found = await revisions.of_service(db, system.ORG_ID, ID)
    return [each.name for each in found]


async def test_a_function_is_a_service_that_the_api_reads(db: Database, worker: Database) -> None:
    await functions.keep(worker, seen(1))
    found = await row(db)
    assert (found.id, found.image, found.status) == (ID, IMAGE, "ready")
    assert (found.generation, found.is_settled, found.max_scale) == (1, True, 20)
    assert found.newest_ready == "services-00001"
    assert found.public("example.eu").url == "https://api.example.eu"
    [kept] = await revisions.of_service(db, system.ORG_ID, ID)
    assert (kept.created_by, kept.ready_at is not None) == ("platform install", True)
    assert await services.get(db, system.ORG_ID, str(ID)) == found


async def test_what_is_seen_twice_is_written_once(worker: Database, database: TestDatabase) -> None:
    everything = "select s.xmin, s.*, r.xmin, r.* from services s, revisions r"
    assert await functions.keep(worker, seen(1)) is not None
    before = execute(database.owner, everything)
    assert await functions.keep(worker, seen(1)) is None
    assert execute(database.owner, everything) == before
    assert len(before) == 1


async def test_two_who_see_it_first_write_it_once(worker: Database) -> None:
    kept = await asyncio.gather(*[functions.keep(worker, seen(1)) for _ in range(4)])
    assert [row is not None for row in kept].count(True) == 1


async def test_another_installation_is_another_generation(worker: Database) -> None:
    await functions.keep(worker, seen(1))
    starting = seen(1, 2, version=101, status="pending", ready_revision="services-00001")
    await functions.keep(worker, starting)
    now = await row(worker)
    assert (now.generation, now.is_settled, now.ready_revision) == (2, False, "services-00001")
    await functions.keep(worker, seen(1, 2, version=102))
    now = await row(worker)
    assert (now.generation, now.is_settled, now.newest_ready) == (2, True, "services-00002")
    assert await names(worker) == ["services-00002", "services-00001"]
    assert await history(worker) == [(1, "ready"), (2, "pending"), (2, "ready")]


async def test_a_rollback_moves_the_traffic_of_the_same_generation(worker: Database) -> None:
    await functions.keep(worker, seen(1, 2))
    back = {"revision": "services-00001", "percent": 100}
    # Knative writes the route anew: nothing waits for that.
    moving = seen(1, 2, version=101, traffic=(back,), status="pending")
    assert await functions.keep(worker, moving) is None
    await functions.keep(worker, replace(moving, version=102, status="ready"))
    now = await row(worker)
    assert (now.generation, now.traffic, now.percent_of("services-00001")) == (2, [back], 100)
    assert await history(worker) == [(2, "ready")]


async def test_of_two_reports_the_later_one_stays(worker: Database) -> None:
    await functions.keep(worker, seen(1, 2, version=102))
    assert await functions.keep(worker, seen(1, version=101)) is None
    assert (await row(worker)).generation == 2
    # The pods can tell more than the object: of one version an end may follow.
    await functions.keep(worker, seen(2, 3, version=103, status="pending"))
    failed = seen(2, 3, version=103, status="failed", reason="ExitCode3")
    assert await functions.keep(worker, failed) is not None
    assert await functions.keep(worker, failed) is None


async def test_an_object_that_was_made_anew_begins_anew(worker: Database) -> None:
    await functions.keep(worker, seen(1, 2, 3, version=900))
    again = seen(1, version=5, made_at=MADE + timedelta(days=1))
    await functions.keep(worker, again)
    now = await row(worker)
    assert (now.id, now.generation, now.newest_ready) == (ID, 1, "services-00001")
    assert await names(worker) == ["services-00001"]


async def test_one_that_is_gone_leaves_no_tombstone(
    worker: Database, database: TestDatabase
) -> None:
    await functions.keep(worker, seen(1))
    await functions.forget(worker, NAME)
    for table in ("services", "revisions", "tombstones"):
        assert execute(database.owner, f"select 1 from {table}") == []  # noqa: S608 - ours


async def test_no_sweep_claims_one_and_nothing_of_it_is_lost_behind_our_back(
    worker: Database,
) -> None:
    await functions.keep(worker, seen(1, status="pending"))
    assert await convergence.claim_unconverged_across_tenants(worker, 10) == []
    await functions.keep(worker, seen(1, version=101))
    assert await convergence.lost(worker, await row(worker), "deleted") is None
    [expected] = await convergence.everything_across_tenants(worker)
    assert (expected.cluster_generation, expected.cluster_version) == (None, 101)


@pytest.mark.parametrize(
    "statement",
    [
        "update services set status = 'deleting'",
        "insert into tombstones values (gen_random_uuid(), system_org(), 'services', 1)",
    ],
)
async def test_nothing_may_say_that_one_is_to_be_deleted(worker: Database, statement: str) -> None:
    await functions.keep(worker, seen(1))
    with pytest.raises(psycopg.errors.CheckViolation, match="system_stays"):
        async with worker.tenant(system.ORG_ID) as connection:
            await connection.execute(statement.encode())


async def test_that_a_key_was_used_is_kept_of_it_too(
    db: Database, worker: Database, database: TestDatabase
) -> None:
    await functions.keep_key(worker, "mc_a", b"1")
    owner = await api_keys.look_up(db, "mc_a")
    assert owner is not None
    assert (owner.org_id, owner.user_id, owner.email) == (system.ORG_ID, system.USER_ID, "system")
    await api_keys.touch(db, owner.org_id, owner.id)
    query = "select last_used_at is not null from api_keys"
    assert execute(database.owner, query) == [(True,)]


async def test_the_key_is_one_that_reads(worker: Database, database: TestDatabase) -> None:
    query = "select prefix, digest, role from api_keys"
    await functions.keep_key(worker, "mc_a", b"1")
    made = execute(database.owner, "select xmin from api_keys")
    await functions.keep_key(worker, "mc_a", b"1")
    assert execute(database.owner, "select xmin from api_keys") == made
    await functions.keep_key(worker, "mc_a", b"2")
    assert execute(database.owner, query) == [("mc_a", b"2", "read")]
    await functions.keep_key(worker, "mc_b", b"3")
    assert execute(database.owner, query) == [("mc_b", b"3", "read")]

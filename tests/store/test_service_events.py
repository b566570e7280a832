"""What became of a service, as the database notes it by itself."""

from uuid import UUID

import pytest

from maxcloud.config import DEV_ORG_ID
from maxcloud.models import ServiceStatus
from maxcloud.store import convergence, service_events
from maxcloud.store.database import Database
from maxcloud.store.services import ServiceRow
from tests.conftest import TestDatabase
from tests.store.support import DIGEST, MADE, created, deleting, execute, patched, seen

pytestmark = pytest.mark.anyio


async def history(db: Database, row: ServiceRow) -> list[tuple[int, str, str]]:
    found = await service_events.of_service(db, row.org_id, row.id)
    return [(each.generation, each.status, each.reason) for each in reversed(found)]


async def test_each_change_of_what_a_service_is_is_noted(db: Database, worker: Database) -> None:
    row = await created(db)
    await convergence.image_resolved(worker, row, DIGEST, None)
    await convergence.revision_chosen(worker, row, "shop-00001")
    await convergence.applied(worker, row, 1, MADE)
    await seen(worker, row)
    changed = await patched(db, image="nginx:nosuch")
    await convergence.delayed(worker, changed, "trying again")
    await convergence.failed(worker, changed, "ImageNotFound", "no such tag", image_refused=True)
    assert await history(db, row) == [
        (1, "pending", "Accepted"),
        (1, "pending", "ImageResolved"),
        (1, "pending", "RevisionCreated"),
        (1, "ready", ""),
        (2, "pending", "Accepted"),
        (2, "failed", "ImageNotFound"),
    ]
    newest = (await service_events.of_service(db, DEV_ORG_ID, row.id))[0]
    assert (newest.message, newest.by) == ("no such tag", "test")
    assert newest.public().status is ServiceStatus.FAILED


async def test_the_newest_hundred_are_kept(db: Database) -> None:
    row = await created(db)
    for n in range(110):
        await patched(db, env_vars={"N": str(n)})
    found = await history(db, row)
    assert [generation for generation, _, _ in found] == list(range(12, 112))


async def test_they_go_with_the_service(
    db: Database, worker: Database, database: TestDatabase
) -> None:
    await created(db)
    await convergence.remove(worker, await deleting(db))
    assert execute(database.owner, "select count(*) from service_events") == [(0,)]


async def test_another_organisation_sees_none(db: Database, other: UUID) -> None:
    row = await created(db)
    assert await service_events.of_service(db, other, row.id) == []

"""Guarded writes: what a handler may still say when something newer has happened."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from maxcloud.models import ServiceStatus
from maxcloud.store import convergence
from maxcloud.store.database import Database
from maxcloud.store.services import ServiceRow
from tests.conftest import TestDatabase
from tests.store.support import (
    ANOTHER_DIGEST,
    DIGEST,
    MADE,
    created,
    deleting,
    execute,
    loaded,
    patched,
    seen,
)

pytestmark = pytest.mark.anyio

Write = Callable[[Database, ServiceRow], Awaitable[ServiceRow | None]]

REVISION, SEEN = "shop-00001", (MADE, 100)

WRITES: dict[str, Write] = {
    "image_resolved": lambda db, row: convergence.image_resolved(db, row, DIGEST, 3000),
    "revision_chosen": lambda db, row: convergence.revision_chosen(db, row, "shop-00001"),
    "applied": lambda db, row: convergence.applied(db, row, 7, MADE),
    "delayed": lambda db, row: convergence.delayed(db, row, "the registry is away"),
    "failed": lambda db, row: convergence.failed(db, row, "ImageNotFound", "no such image"),
    "observed": seen,
    "serving_observed": lambda db, row: convergence.serving_observed(
        db, row, "shop-00001", (MADE, 100)
    ),
}

every_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)


@every_write
async def test_a_write_of_the_newest_generation_changes_the_row(
    db: Database, worker: Database, write: Write
) -> None:
    row = await created(db)
    written = await write(worker, row)
    assert written is not None
    assert written == await loaded(db, row) != row


@every_write
async def test_a_write_of_an_older_generation_changes_nothing(
    db: Database, worker: Database, write: Write
) -> None:
    old = await created(db)
    new = await patched(db, port=80)
    assert await write(worker, old) is None
    assert await loaded(db, old) == new


@every_write
async def test_a_write_changes_nothing_once_the_service_is_deleted(
    db: Database, worker: Database, write: Write
) -> None:
    row = await created(db)
    going = await deleting(db)
    assert await write(worker, row) is None
    assert await loaded(db, row) == going
    assert await convergence.remove(worker, going)
    assert await write(worker, going) is None


@pytest.mark.parametrize(
    "name", ["image_resolved", "revision_chosen", "applied", "delayed", "failed", "observed"]
)
async def test_a_service_on_its_way_out_keeps_its_status(
    db: Database, worker: Database, name: str
) -> None:
    await created(db)
    going = await deleting(db)
    assert await WRITES[name](worker, going) is None
    assert await loaded(db, going) == going


async def test_a_service_becomes_ready_step_by_step(db: Database, worker: Database) -> None:
    row = await created(db)
    steps = []
    for name in ("image_resolved", "revision_chosen", "applied", "observed"):
        written = await WRITES[name](worker, row)
        assert written is not None
        steps.append((written.status, written.reason, written.is_settled))
        row = written
    assert steps == [
        ("pending", "ImageResolved", False),
        ("pending", "ImageResolved", False),
        ("pending", "RevisionCreated", False),
        ("ready", "", True),
    ]
    assert (row.digest, row.exposed_port, row.latest_revision) == (DIGEST, 3000, "shop-00001")
    assert (row.cluster_generation, row.cluster_version) == (7, 100)


@pytest.mark.parametrize("version", [99, 100])
async def test_an_older_report_of_the_cluster_changes_nothing(
    db: Database, worker: Database, version: int
) -> None:
    row = await created(db)
    ready = await seen(worker, row, version=100)
    assert ready is not None
    assert await seen(worker, row, ServiceStatus.FAILED, version) is None
    assert await convergence.serving_observed(worker, row, "shop-00000", (MADE, version)) is None
    assert await loaded(db, row) == ready


@pytest.mark.parametrize("days", [1, -1], ids=["later", "by a clock that was set back"])
async def test_an_object_that_was_made_anew_is_believed(
    db: Database, worker: Database, days: int
) -> None:
    row = await created(db)
    anew = MADE + timedelta(days=days)
    assert await seen(worker, row, version=90_000)
    # Whoever has not heard yet that the object is another one looks at it again.
    assert await seen(worker, row, ServiceStatus.FAILED, 7, made=anew) is None
    assert await convergence.applied(worker, row, 1, anew)
    assert await seen(worker, row, version=90_001) is None
    failed = await seen(worker, row, ServiceStatus.FAILED, 7, made=anew)
    assert failed is not None
    assert (failed.status, failed.cluster_version) == (ServiceStatus.FAILED, 7)


async def test_the_same_object_goes_on_reporting(db: Database, worker: Database) -> None:
    row = await created(db)
    ready = await seen(worker, row, version=100)
    assert await convergence.applied(worker, row, 2, MADE)
    assert await seen(worker, row, ServiceStatus.FAILED, 99) is None
    assert ready is not None
    assert (await loaded(db, row)).status == ready.status


@pytest.mark.parametrize(
    ("status", "is_settled"),
    [
        (ServiceStatus.PENDING, False),
        (ServiceStatus.READY, True),
        (ServiceStatus.FAILED, True),
    ],
)
async def test_ready_and_failed_settle_a_generation(
    db: Database, worker: Database, status: ServiceStatus, is_settled: bool
) -> None:
    written = await seen(worker, await created(db), status)
    assert written is not None
    assert (written.status, written.is_settled) == (status, is_settled)


async def test_a_late_handler_does_not_take_back_what_the_cluster_said(
    db: Database, worker: Database
) -> None:
    """`status` sees the object before `reconcile` has written down that it wrote it."""
    row = await created(db)
    ready = await seen(worker, row)
    late = await convergence.applied(worker, row, 7, MADE)
    assert ready is not None
    assert late is not None
    assert (late.status, late.reason, late.is_settled) == ("ready", "", True)
    assert await convergence.failed(worker, row, "Refused", "too late") is None
    assert await convergence.delayed(worker, row, "too late") is None


async def test_a_look_with_an_old_row_does_not_swallow_the_newest_report(
    db: Database, worker: Database
) -> None:
    """A handler loads generation 1, then reads an object that is at generation 2 already."""
    old = await created(db)
    new = await patched(db, port=80)
    assert await convergence.serving_observed(worker, old, "shop-00002", (MADE, 101)) is None
    assert await seen(worker, new, version=101) is not None


async def test_two_handlers_of_two_generations_interleaved_leave_the_newer(
    db: Database, worker: Database
) -> None:
    first = await created(db)
    assert await WRITES["image_resolved"](worker, first) is not None
    second = await patched(db, image="nginx:1.30")
    assert await WRITES["revision_chosen"](worker, first) is None
    resolved = await convergence.image_resolved(worker, second, ANOTHER_DIGEST, None)
    assert resolved is not None
    assert await WRITES["applied"](worker, first) is None
    applied = await convergence.applied(worker, second, 2, MADE)
    assert await seen(worker, first, version=100) is None
    assert applied is not None
    assert await loaded(db, first) == applied
    assert (applied.generation, applied.digest) == (2, ANOTHER_DIGEST)


async def test_rows_from_an_older_copy_overtake_the_cluster(db: Database, worker: Database) -> None:
    row = await created(db)
    assert await seen(worker, row)
    beyond = await convergence.overtake(worker, row, 5)
    assert beyond is not None
    assert (beyond.generation, beyond.status, beyond.is_settled) == (6, "pending", False)
    # Once is enough, and what the cluster has is not more than the rows ever said.
    assert await convergence.overtake(worker, row, 5) is None
    assert await convergence.overtake(worker, beyond, 6) is None
    assert await loaded(db, row) == beyond


async def test_a_tag_that_moves_between_two_handlers_resolves_once(
    db: Database, worker: Database
) -> None:
    row = await created(db)
    first = await convergence.image_resolved(worker, row, DIGEST, 3000)
    assert await convergence.image_resolved(worker, row, ANOTHER_DIGEST, None) is None
    assert await loaded(db, row) == first


async def test_removing_leaves_one_tombstone_and_happens_once(
    database: TestDatabase, db: Database, worker: Database
) -> None:
    row = await created(db)
    assert not await convergence.remove(worker, row)  # nobody asked for it
    assert await convergence.name_on_tombstone(worker, row.org_id, row.id) is None
    going = await deleting(db)
    assert await convergence.remove(worker, going)
    assert not await convergence.remove(worker, going)
    assert await convergence.load(worker, row.org_id, row.id) is None
    assert await convergence.name_on_tombstone(worker, row.org_id, row.id) == "shop"
    found = execute(database.owner, "select service_id, org_id, name, generation from tombstones")
    assert found == [(row.id, row.org_id, "shop", going.generation)]


async def test_of_one_version_of_the_object_only_an_end_may_follow(
    db: Database, worker: Database
) -> None:
    """The pods can tell more than the object, which does not change with them."""
    row = await created(db)
    assert await seen(worker, row, ServiceStatus.PENDING, version=100) is not None
    failed = await seen(worker, row, ServiceStatus.FAILED, version=100)
    assert failed is not None
    assert await seen(worker, row, ServiceStatus.PENDING, version=100) is None
    assert await loaded(db, row) == failed

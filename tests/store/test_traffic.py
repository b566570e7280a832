"""Where the requests go: what a write makes of a row's traffic (roles mc_api and mc_worker)."""

import pytest

from maxcloud.errors import InvalidField
from maxcloud.models import ServiceStatus
from maxcloud.store import convergence, revisions
from maxcloud.store.database import Database
from maxcloud.store.services import ServiceRow
from maxcloud.traffic import LATEST, TrafficShare
from tests.conftest import TestDatabase
from tests.store.support import DIGEST, MADE, created, execute, loaded, patched, seen

pytestmark = pytest.mark.anyio


def to(revision: str, percent: int = 100, tag: str | None = None) -> TrafficShare:
    return TrafficShare(revision=revision, percent=percent, tag=tag)


async def ready(db: Database, row: ServiceRow, version: int) -> ServiceRow:
    """Bring a generation to its end, as `reconcile` and `status` do."""
    resolved = row if row.digest else await convergence.image_resolved(db, row, DIGEST, None)
    assert resolved is not None
    made = await revisions.choose(db, resolved, resolved.template(f"nginx@{DIGEST}"))
    assert made is not None
    await convergence.revision_chosen(db, row, made.name)
    await seen(db, row, version=version, ready_revision=made.name)
    return await loaded(db, row)


@pytest.fixture
async def second(db: Database, worker: Database) -> ServiceRow:
    """A service whose second revision is ready."""
    await ready(worker, await created(db), version=1)
    return await ready(worker, await patched(db, env_vars={"N": "2"}), version=2)


async def test_a_rollback_is_a_generation_without_a_revision(
    db: Database, worker: Database, second: ServiceRow
) -> None:
    back = await patched(db, traffic=[to("shop-00001")])
    assert (back.generation, back.status) == (3, ServiceStatus.PENDING)
    assert back.shares == [to("shop-00001")]
    assert back.only_routes
    after = await ready(worker, back, version=3)
    assert after.latest_revision == "shop-00002"
    assert after.percent_of("shop-00001") == 100
    assert await patched(db, traffic=[to("shop-00001")]) == after


async def test_the_next_deploy_brings_all_back_to_latest(db: Database, second: ServiceRow) -> None:
    await patched(db, traffic=[to("shop-00001", tag="old")])
    again = await patched(db, env_vars={"N": "3"})
    assert again.shares == [to(LATEST), to("shop-00001", 0, "old")]
    assert not again.only_routes


async def test_the_next_deploy_may_say_where_the_traffic_stays(
    db: Database, second: ServiceRow
) -> None:
    kept = [to("shop-00002"), to(LATEST, 0, "next")]
    assert (await patched(db, env_vars={"N": "3"}, traffic=kept)).shares == kept
    # The tag stays with what it was given to only when that is ready.
    assert (await patched(db, env_vars={"N": "4"})).shares == [to(LATEST), to(LATEST, 0, "next")]


async def test_a_split_stays(db: Database, second: ServiceRow) -> None:
    split = [to("shop-00001", 80), to(LATEST, 20)]
    assert (await patched(db, traffic=split)).shares == split
    assert (await patched(db, image="nginx:1.30")).shares == split


async def test_null_means_all_to_latest(db: Database, second: ServiceRow) -> None:
    await patched(db, traffic=[to("shop-00001")])
    assert (await patched(db, traffic=None)).shares == [to(LATEST)]


@pytest.mark.parametrize("name", ["shop-00003", "another-00001", "x" * 63, "a\u0001b"])
async def test_a_revision_of_nobody_takes_no_traffic(
    db: Database, second: ServiceRow, name: str
) -> None:
    with pytest.raises(InvalidField, match="is not one of shop") as refused:
        await patched(db, traffic=[to(name)])
    assert refused.value.field == "revision"
    assert await loaded(db, second) == second


async def test_a_refused_image_is_not_asked_for_by_a_rollback(
    db: Database, worker: Database, second: ServiceRow
) -> None:
    bad = await patched(db, image="nginx:nosuch")
    assert await convergence.failed(worker, bad, "ImageNotFound", "", image_refused=True)
    assert (await loaded(db, bad)).is_given_up
    back = await patched(db, traffic=[to("shop-00001")])
    assert (back.image_refused, back.only_routes, back.is_given_up) == (True, True, False)
    # Any other write asks again.
    again = await patched(db, env_vars={"N": "3"})
    assert (again.image_refused, again.digest) == (False, None)


async def test_what_serves_is_known_until_another_revision_does(
    db: Database, worker: Database, second: ServiceRow
) -> None:
    """An object that was made anew says at first that none is ready."""
    row = await patched(db, env_vars={"N": "3"})
    await seen(worker, row, ServiceStatus.PENDING, version=9, ready_revision=None)
    assert (await loaded(db, row)).ready_revision == "shop-00002"


async def test_what_the_cluster_has_lost_is_pending_again(
    db: Database, worker: Database, second: ServiceRow, database: TestDatabase
) -> None:
    # Nothing that was never written there can be lost.
    assert await convergence.lost(worker, second, "it was deleted") is None
    await convergence.applied(worker, second, 7, MADE)
    open_again = await convergence.lost(worker, second, "it was deleted")
    assert open_again is not None
    assert (open_again.status, open_again.reason) == (ServiceStatus.PENDING, "RestoringRevision")
    assert not open_again.is_settled
    assert await convergence.lost(worker, second, "it was deleted") is None
    execute(database.owner, "update services set next_attempt_at = now()")
    claimed = await convergence.claim_unconverged_across_tenants(worker, 10)
    assert [row.id for row in claimed] == [second.id]


async def test_what_was_given_up_stays_so_when_the_rest_is_lost(
    db: Database, worker: Database, second: ServiceRow
) -> None:
    await convergence.applied(worker, second, 7, MADE)
    bad = await patched(db, image="nginx:nosuch")
    assert await convergence.failed(worker, bad, "ImageNotFound", "", image_refused=True)
    assert await convergence.lost(worker, bad, "it was deleted") is None

"""What the timer's sweep asks the rows."""

import asyncio
from pathlib import Path

import pytest
import yaml

from maxcloud.models import ServiceStatus
from maxcloud.store import convergence
from maxcloud.store.database import Database
from tests.conftest import TestDatabase
from tests.store.support import MADE, created, deleting, execute, patched, seen

pytestmark = pytest.mark.anyio

EVENTING = Path(__file__).parents[2] / "eventing"

DUE = "update services set next_attempt_at = now() - interval '1 second'"
WAIT = "select extract(epoch from next_attempt_at - now())::float8 from services"


async def claimed(db: Database, most: int = 100) -> list[str]:
    rows = await convergence.claim_unconverged_across_tenants(db, most)
    return sorted(row.name for row in rows)


async def test_a_new_row_is_not_hinted_at_again_at_once(
    database: TestDatabase, db: Database, worker: Database
) -> None:
    await created(db)
    assert await claimed(worker) == []
    [(seconds,)] = execute(database.owner, WAIT)
    assert 20 < seconds <= 30


async def test_two_workers_at_once_never_claim_the_same_row(
    database: TestDatabase, db: Database, worker: Database
) -> None:
    names = [f"shop-{number:02}" for number in range(40)]
    for name in names:
        await created(db, name)
    execute(database.owner, DUE)
    other = Database(database.worker)
    claims = await asyncio.gather(*[claimed(each, 10) for each in (worker, other) * 3])
    await other.close()
    got = sorted(name for claim in claims for name in claim)
    assert len(set(got)) == len(got)
    assert sorted([*got, *await claimed(worker)]) == names


async def test_a_row_that_a_transaction_holds_is_skipped(
    database: TestDatabase, db: Database, worker: Database
) -> None:
    await created(db, "busy")
    await created(db, "free")
    execute(database.owner, DUE)
    async with worker.across_tenants() as connection:
        await connection.execute("select 1 from services where name = 'busy' for update")
        assert await claimed(worker) == ["free"]


async def test_each_claim_waits_longer_and_is_due_at_the_next_sweep_of_a_cluster(
    database: TestDatabase, db: Database, worker: Database
) -> None:
    await created(db)
    minutes = []
    for _ in range(11):
        execute(database.owner, DUE)
        assert await claimed(worker) == ["shop"]
        assert await claimed(worker) == []
        [(seconds,)] = execute(database.owner, WAIT)
        minutes.append(round(seconds / 60))
    assert minutes == [1, 2, 4, 8, *[9] * 7]
    sweep = (EVENTING / "sources" / "sweep.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(sweep)["spec"]["schedule"] == f"*/{max(minutes) + 1} * * * *"


async def test_a_new_generation_begins_anew(
    database: TestDatabase, db: Database, worker: Database
) -> None:
    await created(db)
    execute(database.owner, f"{DUE}, attempts = 9")
    for change in (patched(db, port=80), deleting(db)):
        await change
        assert execute(database.owner, "select attempts from services") == [(0,)]
        [(seconds,)] = execute(database.owner, WAIT)
        assert seconds <= 30
        execute(database.owner, f"{DUE}, attempts = 9")


async def test_only_what_waits_is_claimed(
    database: TestDatabase, db: Database, worker: Database
) -> None:
    for name in ("pending", "ready", "failed", "going"):
        row = await created(db, name)
        if name in {"ready", "failed"}:
            await seen(worker, row, ServiceStatus(name))
    await deleting(db, "going")
    execute(database.owner, DUE)
    assert await claimed(worker) == ["going", "pending"]


async def test_the_comparison_knows_what_is_settled(db: Database, worker: Database) -> None:
    for name in ("pending", "ready", "going"):
        row = await created(db, name)
        if name != "pending":
            await convergence.applied(worker, row, 5, MADE)
            await seen(worker, row)
    await deleting(db, "going")
    expected = {
        each.name: (each.is_settled, each.cluster_generation, each.hint().generation)
        for each in await convergence.everything_across_tenants(worker)
    }
    assert expected == {
        "pending": (False, None, 1),
        "ready": (True, 5, 1),
        "going": (False, 5, 2),
    }

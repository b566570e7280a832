"""Many rows: what the store's functions cost when there are thirty, 300 and 3,000."""

import asyncio
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping

import pytest

from maxcloud.config import DEV_ORG_ID
from maxcloud.store import convergence, services
from maxcloud.store.database import Database
from tests.bench.figures import curve
from tests.bench.report import Section
from tests.conftest import TestDatabase
from tests.store.support import execute, wanted

SIZES = (30, 300, 3000)
WARM_UP, ROUNDS = 10, 50

ABOUT = """\
Milliseconds of the store's functions over rows that have converged, ten of each organisation;
medians of fifty. *one page* is all services of one organisation, *all rows* is what the sweep
compares the cluster with."""

# Ten of each organisation; DEV_MODE's has the first.
ORGANISATIONS = """
insert into organizations (id, name)
select md5(number::text)::uuid, 'org-' || number from generate_series(1, %s / 10 - 1) number
on conflict do nothing"""
SERVICES = """
insert into services (
    org_id, name, image, digest, status, reason, observed_generation, latest_revision,
    ready_revision, cluster_generation
)
select
    case when number < 10 then %s::uuid else md5((number / 10)::text)::uuid end,
    'filled-' || number, 'nginx:1.29', 'sha256:' || repeat('a', 64), 'ready', '', 1,
    'filled-' || number || '-00001', 'filled-' || number || '-00001', 1
from generate_series(0, %s - 1) number
on conflict (name) do nothing"""

Call = Callable[[], Awaitable[object]]


@pytest.mark.anyio
async def test_rows(database: TestDatabase, show: Callable[[Section], None]) -> None:
    api, worker = Database(database.api), Database(database.worker)

    async def create() -> None:
        await services.create(api, DEV_ORG_ID, wanted(f"n-{uuid.uuid4().hex[:12]}"), by="bench")

    calls: Mapping[str, Call] = {
        "one service by its name": lambda: services.get(api, DEV_ORG_ID, "filled-1"),
        "one page": lambda: services.all_of_organisation(api, DEV_ORG_ID, most=101),
        "a new service": create,
        "all rows": lambda: convergence.everything_across_tenants(worker),
        "rows that have waited too long": (
            lambda: convergence.claim_unconverged_across_tenants(worker, 100)
        ),
    }
    taken: dict[str, list[float]] = {what: [] for what in calls}
    for size in SIZES:
        execute(database.owner, ORGANISATIONS, size)
        execute(database.owner, SERVICES, str(DEV_ORG_ID), size)
        for what, call in calls.items():
            taken[what].append(await milliseconds(call))
        execute(database.owner, "delete from services where name like 'n-%%'")
    await asyncio.gather(api.close(), worker.close())
    show(Section("Many rows", ABOUT, [curve(SIZES, taken)]))


async def milliseconds(call: Call) -> float:
    taken = []
    for _ in range(WARM_UP + ROUNDS):
        began = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken[WARM_UP:])

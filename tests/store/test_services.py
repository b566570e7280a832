"""Rows of services, as tenants write and read them (role mc_api)."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from maxcloud.config import DEV_ORG_ID
from maxcloud.errors import NameTaken, NotFound, ServiceDeleting
from maxcloud.store import convergence, services
from maxcloud.store.database import Database
from tests.conftest import TestDatabase
from tests.store.support import created, deleting, execute, loaded, patched, wanted

pytestmark = pytest.mark.anyio

FULL: dict[str, Any] = {
    "port": 80,
    "command": ["/bin/sh"],
    "args": ["-c", "serve"],
    "env_vars": {"A": "1"},
    "min_scale": 1,
    "max_scale": 3,
    "concurrency": 0,
    "cpu": "250m",
    "memory": "1Gi",
    "timeout_seconds": 60,
}


async def test_a_new_service_is_pending_at_its_first_generation(db: Database) -> None:
    row = await services.create(db, DEV_ORG_ID, wanted(**FULL), by="somebody")
    assert (row.status, row.generation, row.observed_generation) == ("pending", 1, 0)
    assert (row.org_id, row.name, row.image) == (DEV_ORG_ID, "shop", "nginx:1.29")
    assert (row.digest, row.exposed_port, row.updated_by) == (None, None, "somebody")
    assert row.settings.model_dump() == FULL
    assert await services.get(db, DEV_ORG_ID, "shop") == row


async def test_what_is_not_said_is_the_contracts_default(db: Database) -> None:
    row = await created(db)
    assert row.settings.model_dump() == {
        "port": 0,
        "command": [],
        "args": [],
        "env_vars": {},
        "min_scale": 0,
        "max_scale": 10,
        "concurrency": 80,
        "cpu": "1",
        "memory": "512Mi",
        "timeout_seconds": 300,
    }
    assert row.traffic == [{"revision": "latest", "percent": 100}]


async def test_a_service_is_found_by_id_and_by_name(db: Database) -> None:
    row = await created(db)
    assert await services.get(db, DEV_ORG_ID, str(row.id)) == row
    assert await services.get(db, DEV_ORG_ID, "shop") == row


@pytest.mark.parametrize(
    "other", ["sho", "SHOP", "shop ", "shop\n", "", "%", "sho_", str(uuid4()), "x" * 9999]
)
async def test_nothing_else_is_found(db: Database, other: str) -> None:
    await created(db)
    with pytest.raises(NotFound):
        await services.get(db, DEV_ORG_ID, other)


async def test_services_are_listed_by_name(db: Database) -> None:
    for name in ("shop", "blog", "mall"):
        await created(db, name)
    listed = await services.all_of_organisation(db, DEV_ORG_ID)
    assert [row.name for row in listed] == ["blog", "mall", "shop"]


async def test_ten_at_once_get_one_service_of_a_name(db: Database) -> None:
    outcomes = await asyncio.gather(*[created(db) for _ in range(10)], return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, BaseException)]
    assert [type(each) for each in refused] == [NameTaken] * 9
    assert len(await services.all_of_organisation(db, DEV_ORG_ID)) == 1


async def test_a_name_is_taken_over_all_organisations(db: Database, other: UUID) -> None:
    await created(db)
    with pytest.raises(NameTaken) as refused:
        await created(db, org_id=other)
    assert refused.value.field == "name"
    assert str(DEV_ORG_ID) not in refused.value.message


async def test_deleting_is_a_generation_of_its_own_and_happens_once(db: Database) -> None:
    row = await created(db)
    going = await deleting(db)
    assert (going.status, going.generation) == ("deleting", row.generation + 1)
    assert await deleting(db) == going


async def test_a_service_that_is_being_deleted_takes_no_change(db: Database) -> None:
    row = await created(db)
    going = await deleting(db)
    with pytest.raises(ServiceDeleting):
        await patched(db, port=80)
    with pytest.raises(ServiceDeleting):
        await created(db)
    assert await loaded(db, row) == going


async def test_what_does_not_exist_cannot_be_changed(db: Database) -> None:
    with pytest.raises(NotFound):
        await patched(db, port=80)
    with pytest.raises(NotFound):
        await deleting(db)


async def test_a_name_that_comes_back_goes_on_counting(db: Database, worker: Database) -> None:
    names = set()
    for _ in range(3):
        row = await created(db)
        row = await patched(db, port=row.generation + 1)
        names |= {row.generation - 1, row.generation}
        assert await convergence.remove(worker, await deleting(db))
    assert sorted(names) == [1, 2, 4, 5, 7, 8]


async def test_a_deleted_name_stays_its_organisations_for_thirty_days(
    database: TestDatabase, db: Database, worker: Database, other: UUID
) -> None:
    await created(db)
    await convergence.remove(worker, await deleting(db))
    with pytest.raises(NameTaken):
        await created(db, org_id=other)
    execute(database.owner, "update tombstones set deleted_at = now() - interval '29 days'")
    with pytest.raises(NameTaken):
        await created(db, org_id=other)
    execute(database.owner, "update tombstones set deleted_at = now() - interval '31 days'")
    theirs = await created(db, org_id=other)
    assert (theirs.org_id, theirs.generation) == (other, 1)


async def test_a_deleted_name_is_given_back_to_its_own_organisation(
    db: Database, worker: Database
) -> None:
    first = await created(db)
    await convergence.remove(worker, await deleting(db))
    again = await created(db)
    assert again.id != first.id
    assert again.generation == 3

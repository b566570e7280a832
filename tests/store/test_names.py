"""A name is given to one organisation at a time, also at the moment when it is given back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from maxcloud.config import DEV_ORG_ID
from maxcloud.errors import NameTaken
from maxcloud.store import convergence
from maxcloud.store.database import Database
from tests.conftest import TestDatabase
from tests.store.support import created, deleting, execute, loaded

pytestmark = pytest.mark.anyio

WAITING = (
    "select count(*) from pg_stat_activity"
    " where datname = current_database() and wait_event_type = 'Lock'"
)


class Lingering(Database):
    """Does not commit before it is told to."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.is_done, self.commit = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def tenant(self, org_id: UUID) -> AsyncIterator[AsyncConnection]:
        async with super().tenant(org_id) as connection:
            yield connection
            self.is_done.set()
            await self.commit.wait()


@asynccontextmanager
async def being_removed(database: TestDatabase, db: Database) -> AsyncIterator[Lingering]:
    """The service `shop` is on its way out of the rows; the block may say when it is."""
    await created(db)
    going = await deleting(db)
    lingering = Lingering(database.worker)
    removal = asyncio.create_task(convergence.remove(lingering, going))
    await asyncio.wait_for(lingering.is_done.wait(), 10)
    yield lingering
    assert await removal
    await lingering.close()


async def until_one_waits(database: TestDatabase) -> None:
    async with asyncio.timeout(10):
        while execute(database.owner, WAITING) == [(0,)]:  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0.01)


async def test_who_waits_for_a_name_does_not_get_it_within_thirty_days(
    database: TestDatabase, db: Database, other: UUID
) -> None:
    async with being_removed(database, db) as lingering:
        creation = asyncio.create_task(created(db, org_id=other))
        await until_one_waits(database)
        lingering.commit.set()
        with pytest.raises(NameTaken):
            await creation


async def test_a_name_that_comes_back_at_that_moment_goes_on_counting(
    database: TestDatabase, db: Database
) -> None:
    async with being_removed(database, db) as lingering:
        # The owner has seen it deleted elsewhere, and does not look again.
        creation = asyncio.create_task(created(db, org_id=DEV_ORG_ID))
        await until_one_waits(database)
        lingering.commit.set()
        row = await creation
    assert (await loaded(db, row)).generation == 3


@pytest.mark.parametrize(
    ("first", "second"),
    [("shop", "shop-00002"), ("shop-00002", "shop"), ("shop", "shop-99999")],
)
async def test_a_service_is_not_called_as_a_revision_of_another(
    db: Database, other: UUID, first: str, second: str
) -> None:
    await created(db, first)
    with pytest.raises(NameTaken, match="is the name of a revision of shop: choose another name"):
        await created(db, second)
    # Another organisation has a namespace of its own.
    await created(db, second, org_id=other)


@pytest.mark.parametrize(
    "second", ["shop-0002", "shop-00002-x", "shops", "sho", "a-shop-00001", "shop-20260101"]
)
async def test_a_name_that_no_revision_has_is_free(db: Database, second: str) -> None:
    await created(db, "shop")
    assert (await created(db, second)).name == second

"""The table of attempts: counted exactly, and kept small by the sweep."""

import asyncio

import pytest

from maxcloud.errors import TooManyRequests
from maxcloud.store import limits
from maxcloud.store.database import Database
from maxcloud.store.limits import Limit
from tests.conftest import TestDatabase
from tests.store.support import execute

pytestmark = pytest.mark.anyio

THREE = Limit("try", 3, 60)


async def attempts(db: Database, many: int, who: str = "ada") -> int:
    """Try at once and return how often it was allowed."""
    tried = (limits.count(db, THREE, who) for _ in range(many))
    outcomes = await asyncio.gather(*tried, return_exceptions=True)
    assert {type(each) for each in outcomes} <= {type(None), TooManyRequests}
    return outcomes.count(None)


async def test_each_is_counted_by_itself_and_exactly(db: Database) -> None:
    assert await attempts(db, 10) == 3
    assert await attempts(db, 2, "bob") == 2


async def test_a_window_ends(db: Database, database: TestDatabase) -> None:
    assert await attempts(db, 4) == 3
    execute(database.owner, "update rate_limits set closes_at = now()")
    assert await attempts(db, 4) == 3


async def test_the_wait_is_what_is_left_of_the_window(db: Database, database: TestDatabase) -> None:
    await attempts(db, 3)
    execute(database.owner, "update rate_limits set closes_at = now() + interval '10 seconds'")
    with pytest.raises(TooManyRequests) as refused:
        await limits.count(db, THREE, "ada")
    assert refused.value.retry_after in {9, 10}


async def test_the_sweep_forgets_what_is_over(
    db: Database, worker: Database, database: TestDatabase
) -> None:
    await attempts(db, 1)
    execute(database.owner, "insert into rate_limits values ('old', 9, now())")
    await limits.forget(worker)
    assert execute(database.owner, "select bucket from rate_limits") == [("try ada",)]
    # A bucket that is tried for ever does not count for ever.
    await attempts(db, 20)
    assert execute(database.owner, "select attempts from rate_limits") == [(4,)]

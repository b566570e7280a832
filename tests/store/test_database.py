"""The pool of connections: opening, losing and finding the database."""

import asyncio
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from maxcloud.errors import Unavailable
from maxcloud.store.database import CONNECT_SECONDS, Database
from tests.conftest import TestDatabase

pytestmark = pytest.mark.anyio


async def test_a_database_that_is_away_is_said_to_be_within_seconds(
    untouched: TestDatabase, tmp_path: Path
) -> None:
    """The socket appears when the wait is over: the next call finds it."""
    real = Path(parse_qs(urlsplit(untouched.api).query)["host"][0])
    nobody = Database(f"postgresql://mc_api@/{urlsplit(untouched.api).path[1:]}?host={tmp_path}")
    refused = Database("postgresql://mc_api@127.0.0.1:1/none")
    began = time.monotonic()
    outcomes = await asyncio.gather(nobody.ping(), refused.ping(), return_exceptions=True)
    assert time.monotonic() - began < CONNECT_SECONDS + 2
    for outcome in outcomes:
        assert isinstance(outcome, Unavailable)
        assert outcome.retry_after == 5
        assert "mc_api" not in outcome.message
    (tmp_path / ".s.PGSQL.5432").symlink_to(real / ".s.PGSQL.5432")
    await nobody.ping()
    await asyncio.gather(nobody.close(), refused.close())


async def test_the_first_calls_may_all_come_at_once(untouched: TestDatabase) -> None:
    db = Database(untouched.api)
    await asyncio.gather(*[db.ping() for _ in range(20)])
    await db.close()


async def test_a_connection_that_broke_is_replaced(untouched: TestDatabase) -> None:
    db, owner = Database(untouched.api), Database(untouched.owner)
    async with db.across_tenants() as connection:
        cursor = await connection.execute("select pg_backend_pid()")
        pid = await cursor.fetchone()
    async with owner.across_tenants() as connection:
        await connection.execute("select pg_terminate_backend(%s)", pid)
    await db.ping()
    await asyncio.gather(db.close(), owner.close())


async def test_a_connection_that_breaks_in_use_is_unavailable(untouched: TestDatabase) -> None:
    db = Database(untouched.owner)
    with pytest.raises(Unavailable):
        async with db.across_tenants() as connection:
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")
    await db.ping()
    await db.close()


async def test_a_closed_database_opens_again(untouched: TestDatabase) -> None:
    db = Database(untouched.api)
    await db.close()
    await db.ping()
    await db.close()
    await db.ping()
    await db.close()

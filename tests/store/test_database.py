"""The pool of connections: opening, losing and finding the database."""

import asyncio
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from maxcloud.config import DEV_ORG_ID
from maxcloud.errors import NameTaken, NotFound, Unavailable
from maxcloud.store import convergence, services
from maxcloud.store.database import CONNECT_SECONDS, Database
from maxcloud.store.services import service_row
from tests.conftest import TestDatabase
from tests.store.support import add_organisation, created, execute, patched

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


async def test_a_server_that_only_reads_any_more_is_unavailable(
    database: TestDatabase, db: Database
) -> None:
    """What a standby says, and a primary that another one has taken over from."""
    name = urlsplit(database.owner).path[1:]
    execute(database.owner, f"alter database {name} set default_transaction_read_only = on")
    with pytest.raises(Unavailable):
        await created(db)


async def test_transactions_together_are_kept_all_or_none(
    db: Database, worker: Database, other: UUID
) -> None:
    async def write(last: str) -> None:
        async with db.together() as together:
            await created(together, "one")
            await created(together, "two", org_id=other)
            assert await names(worker) == set()
            await services.get(together, DEV_ORG_ID, last)

    with pytest.raises(NotFound):
        await write("three")
    assert await names(worker) == set()
    await write("one")
    assert await names(worker) == {"one", "two"}


async def names(worker: Database) -> set[str]:
    return {row.name for row in await convergence.everything_across_tenants(worker)}


async def test_a_broken_constraint_undoes_its_own_transaction_alone(db: Database) -> None:
    async def break_it(together: Database) -> None:
        async with together.tenant(DEV_ORG_ID) as connection:
            await connection.execute("update services set port = 80")
            insert = "insert into services (org_id, name, image) values (%s, 'shop', 'x')"
            await connection.execute(insert, [DEV_ORG_ID])

    async with db.together() as together:
        await created(together)
        with pytest.raises(NameTaken):
            await break_it(together)
    [row] = await services.all_of_organisation(db, DEV_ORG_ID)
    assert (row.name, row.port) == ("shop", 0)


async def test_transactions_together_hide_what_others_hide(db: Database, other: UUID) -> None:
    async with db.together() as together:
        await created(together)
        async with together.across_tenants() as connection:
            cursor = await connection.execute("select count(*) from services")
            assert await cursor.fetchone() == (0,)
        assert await services.all_of_organisation(together, other) == []


async def test_transactions_together_do_not_wait_for_ever(db: Database) -> None:
    await created(db)
    async with db.tenant(DEV_ORG_ID) as connection:
        await connection.execute("select 1 from services for update")
        with pytest.raises(Unavailable, match="another request") as refused:
            async with db.together() as together:
                await patched(together, port=80)
    assert refused.value.retry_after == 1
    assert (await services.get(db, DEV_ORG_ID, "shop")).port == 0


async def test_a_closed_database_opens_again(untouched: TestDatabase) -> None:
    db = Database(untouched.api)
    await db.close()
    await db.ping()
    await db.close()
    await db.ping()
    await db.close()


async def test_a_read_is_bound_to_its_organisation_and_leaves_nothing_behind(
    database: TestDatabase,
) -> None:
    db, other = Database(database.api), add_organisation(database.owner)
    await created(db, "shop")
    statement = "select * from services"  # the policy alone says whose
    assert [row.name for row in await db.read(DEV_ORG_ID, statement, service_row)] == ["shop"]
    assert await db.read(other, statement, service_row) == []
    async with db.across_tenants() as connection:
        cursor = await connection.execute("select current_setting('app.org', true)")
        assert await cursor.fetchone() == ("",)
    await db.close()


async def test_a_read_outlives_the_connections_that_broke(database: TestDatabase) -> None:
    db, owner = Database(database.api), Database(database.owner)
    await asyncio.gather(*[db.ping() for _ in range(20)])
    async with owner.across_tenants() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'mc_api'"
            " and datname = current_database()"
        )
    assert await services.all_of_organisation(db, DEV_ORG_ID) == []
    await asyncio.gather(db.close(), owner.close())

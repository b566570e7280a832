"""Transactions on PostgreSQL, each bound to one organisation, and the seam for its errors."""

import asyncio
import dataclasses
import functools
import operator
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection, AsyncCursor
from psycopg.rows import RowMaker, no_result
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic_core import from_json

from maxcloud.errors import (
    AlreadyMember,
    APIError,
    EmailTaken,
    NameTaken,
    OrganizationTaken,
    Unavailable,
)

# How long a request waits for the database before it answers 503.
CONNECT_SECONDS = 5.0

# How long a transaction may take. One that takes longer waits for a lock, or for a server that has
# stopped answering: who asked is told so, before a proxy in between gives up with a worse word.
TRANSACTION_SECONDS = 8.0

# How long transactions that are kept together may be silent. It ends those of a machine that
# vanished; a process that died has closed its connections, and PostgreSQL knows at once.
SILENCE_SECONDS = 30

# Few, because every instance of every function has its own.
CONNECTIONS_MAX = 5

# What a broken constraint means to a caller; any other is a mistake of ours.
_CONSTRAINTS: dict[str, APIError] = {
    "services_name_key": NameTaken("a service of this name exists already", field="name"),
    "users_email_key": EmailTaken("this address has an account already", field="email"),
    "organizations_name_key": OrganizationTaken(
        "an organisation of this name exists already", field="org_name"
    ),
    "memberships_pkey": AlreadyMember("this person is a member already"),
}

# A server that another one has taken over from, and a transaction that it ended by itself.
_NO_LONGER_OURS = (
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
)

# Statements in one message are one round trip and, without a `begin`, one transaction.
_BEGIN = "begin;"
_OF_TENANT = "select set_config('app.org', %(org_id)s::text, true);"

Row = TypeVar("Row")
RowFactory = Callable[[AsyncCursor[Any]], RowMaker[Row]]

# A row has four columns of JSON, and the standard library takes ten times as long for them.
set_json_loads(from_json)


class Database:
    """A pool of connections that opens with the first transaction, so that starting is free."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: AsyncConnectionPool | None = None

    @asynccontextmanager
    async def tenant(self, org_id: UUID) -> AsyncIterator[AsyncConnection]:
        """Yield a transaction that sees the rows of one organisation.

        Raises Unavailable when the database cannot be reached, and the domain's error for a
        broken constraint.
        """
        async with self._transaction(org_id) as connection:
            yield connection

    @asynccontextmanager
    async def tenant_for(self, org_id: UUID, seconds: float) -> AsyncIterator[AsyncConnection]:
        """Yield such a transaction that may take so long, for it waits for another server."""
        async with self._transaction(org_id, seconds) as connection:
            yield connection

    async def read(
        self, org_id: UUID, statement: str, rows: RowFactory[Row], **values: object
    ) -> list[Row]:
        """Return the rows of one statement that only reads, among those of one organisation.

        It is a transaction by itself, in one round trip instead of three. Raises Unavailable when
        the database cannot be reached.
        """
        async with self._begun(_OF_TENANT + statement, org_id=org_id, **values) as cursor:
            cursor.nextset()
            found: AsyncCursor[Row] = cursor
            found.row_factory = rows
            return await found.fetchall()

    async def ask(self, statement: str, rows: RowFactory[Row], **values: object) -> list[Row]:
        """Return the rows of one statement that comes before the tenant is known.

        What it may see, the function that it calls says. It is a transaction by itself, in one
        round trip. Raises Unavailable when the database cannot be reached.
        """
        async with self._begun(statement, **values) as cursor:
            found: AsyncCursor[Row] = cursor
            found.row_factory = rows
            return await found.fetchall()

    @asynccontextmanager
    async def across_tenants(self) -> AsyncIterator[AsyncConnection]:
        """Yield a transaction without a tenant; only mc_worker sees rows in it."""
        async with self._transaction() as connection:
            yield connection

    @asynccontextmanager
    async def together(self) -> AsyncIterator["Database"]:
        """Yield a database whose transactions are kept all together, or none of them.

        They share one connection, one after the other, and wait for the locks of others no longer
        than a request waits for the database. Raises as `tenant` does.
        """
        async with self._transaction() as connection:
            await connection.execute(
                "select set_config('lock_timeout', %s, true),"
                " set_config('idle_in_transaction_session_timeout', %s, true)",
                [f"{CONNECT_SECONDS}s", f"{SILENCE_SECONDS}s"],
            )
            yield _Together(self._url, connection)

    async def ping(self) -> None:
        """Return when the database answers, else raise Unavailable."""
        async with self._begun("select 1"):
            pass

    async def close(self) -> None:
        """Give every connection back; a later transaction opens the pool again."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()

    @asynccontextmanager
    async def _transaction(
        self, org_id: UUID | None = None, seconds: float = TRANSACTION_SECONDS
    ) -> AsyncIterator[AsyncConnection]:
        opening = _BEGIN + _OF_TENANT if org_id else _BEGIN
        async with self._begun(opening, seconds, org_id=org_id) as cursor, cursor.connection:
            yield cursor.connection  # which commits in the end, or rolls back

    @asynccontextmanager
    async def _begun(
        self, statement: str, seconds: float = TRANSACTION_SECONDS, /, **values: object
    ) -> AsyncIterator[AsyncCursor[Any]]:
        with _our_errors():
            async with asyncio.timeout(seconds):
                pool = await self._open()
                cursor = await _first(pool, statement, values)
                try:
                    yield cursor
                finally:
                    await pool.putconn(cursor.connection)

    async def _open(self) -> AsyncConnectionPool:
        if self._pool is None:
            self._pool = AsyncConnectionPool(
                self._url,
                min_size=0,
                max_size=CONNECTIONS_MAX,
                timeout=CONNECT_SECONDS,
                # The pause between two attempts doubles until this: with the default of five
                # minutes the pool goes on saying no long after the database has come back.
                reconnect_timeout=CONNECT_SECONDS,
                # A transaction opens with its first statement.
                kwargs={"autocommit": True, "connect_timeout": int(CONNECT_SECONDS)},
                open=False,
            )
            await self._pool.open()
        return self._pool


async def _first(
    pool: AsyncConnectionPool, statement: str, values: Mapping[str, object]
) -> AsyncCursor[Any]:
    """Return the cursor of a connection's first statement.

    Asking beforehand whether the connection lives would be a round trip more: one that died in the
    pool is thrown away, and the statement, of which nothing has happened, sent by another.
    """
    for left in reversed(range(CONNECTIONS_MAX + 1)):
        connection = await pool.getconn()
        try:
            return await AsyncClientCursor(connection).execute(statement.encode(), values)
        except BaseException as error:
            await pool.putconn(connection)
            if not (left and connection.closed and isinstance(error, psycopg.OperationalError)):
                raise
    raise AssertionError("the last attempt raises")


class _Together(Database):
    """A database within a transaction: each of its own is a savepoint."""

    def __init__(self, url: str, connection: AsyncConnection) -> None:
        super().__init__(url)
        self._connection = connection

    async def read(
        self, org_id: UUID, statement: str, rows: RowFactory[Row], **values: object
    ) -> list[Row]:
        async with self.tenant(org_id) as connection:
            cursor = connection.cursor(row_factory=rows)
            await cursor.execute(statement.encode(), {"org_id": org_id, **values})
            return await cursor.fetchall()

    async def ask(self, statement: str, rows: RowFactory[Row], **values: object) -> list[Row]:
        async with self._transaction() as connection:
            cursor = connection.cursor(row_factory=rows)
            await cursor.execute(statement.encode(), values)
            return await cursor.fetchall()

    @asynccontextmanager
    async def _transaction(
        self, org_id: UUID | None = None, seconds: float = TRANSACTION_SECONDS
    ) -> AsyncIterator[AsyncConnection]:
        with _our_errors():
            async with self._connection.transaction():
                # The organisation of a transaction does not outlive it, here neither.
                named = [str(org_id or "")]
                await self._connection.execute("select set_config('app.org', %s, true)", named)
                yield self._connection


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise Unavailable(
            "another request is changing the same thing; try again in a moment", retry_after=1
        ) from error
    except (PoolTimeout, TimeoutError, psycopg.OperationalError, *_NO_LONGER_OURS) as error:
        raise Unavailable(
            "the database cannot be reached; try again in a moment", retry_after=5
        ) from error
    except psycopg.IntegrityError as error:
        if known := _CONSTRAINTS.get(error.diag.constraint_name or ""):
            raise type(known)(known.message, field=known.field) from error
        raise


@functools.cache
def statements(noun: str) -> dict[str, str]:
    """Return the named statements of `<noun>.sql`: `-- name --` opens each."""
    text = (Path(__file__).parent / f"{noun}.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- (\w+) --$", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def rows_of(kind: type[Row]) -> RowFactory[Row]:
    """Return the mapper to a dataclass whose fields are a table's columns.

    A newer schema's columns are ignored, so that an upgrade migrates before it rolls out.
    """
    fields = [field.name.encode() for field in dataclasses.fields(kind)]  # type: ignore[arg-type]

    def factory(cursor: AsyncCursor[Any]) -> RowMaker[Row]:
        # The names are in the result; the cursor's description takes longer than a page of rows.
        result = cursor.pgresult
        if result is None or not result.nfields:
            return no_result
        at = {result.fname(column): column for column in range(result.nfields)}
        pick = operator.itemgetter(*[at[field] for field in fields])

        def make(values: Sequence[Any]) -> Row:
            return kind(*pick(values))

        return make

    return factory

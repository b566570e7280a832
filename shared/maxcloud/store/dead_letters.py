"""The rows of dead_letters: events that no handler would take."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from maxcloud.store.database import Database, statements

_SQL = statements("dead_letters")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An undeliverable event: who refused it, with which HTTP status, and what it was."""

    event_id: str
    source: str
    type: str
    subject: str | None
    destination: str
    code: int | None
    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class KeptLetter(DeadLetter):
    """One that is in the table."""

    id: UUID
    received_at: datetime


async def keep(db: Database, letter: DeadLetter) -> None:
    """Keep a letter once, however often it is delivered."""
    async with db.across_tenants() as connection:
        values = {key: _storable(value) for key, value in asdict(letter).items()}
        headers = {_storable(key): _storable(value) for key, value in letter.headers.items()}
        await connection.execute(_SQL["keep"], {**values, "headers": Jsonb(headers)})


async def count(db: Database) -> int:
    """Return how many there are."""
    async with db.across_tenants() as connection:
        cursor = connection.cursor(row_factory=scalar_row)
        [found] = await (await cursor.execute(_SQL["count"])).fetchall()
        return int(found)


async def newest(db: Database, most: int) -> list[KeptLetter]:
    """Return those that came last."""
    return await _rows(db, "newest", most=most)


async def named(db: Database, ids: Sequence[UUID]) -> list[KeptLetter]:
    """Return those with these ids; one that is gone is left out."""
    return await _rows(db, "named", ids=list(ids))


async def drop(db: Database, ids: Sequence[UUID]) -> list[UUID]:
    """Remove those with these ids and return the ids of those that were there."""
    async with db.across_tenants() as connection:
        cursor = connection.cursor(row_factory=scalar_row)
        return await (await cursor.execute(_SQL["drop"], {"ids": list(ids)})).fetchall()


async def _rows(db: Database, statement: str, **values: object) -> list[KeptLetter]:
    async with db.across_tenants() as connection:
        cursor = connection.cursor(row_factory=class_row(KeptLetter))
        return await (await cursor.execute(_SQL[statement], values)).fetchall()


def _storable(value: object) -> object:
    # PostgreSQL keeps neither NUL nor half a character, and a letter that cannot be kept would
    # come back for ever.
    if not isinstance(value, str):
        return value
    return value.encode(errors="replace").decode().replace("\x00", "\ufffd")

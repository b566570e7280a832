"""The rows of dead_letters: events that no handler would take."""

from dataclasses import asdict, dataclass

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


async def keep(db: Database, letter: DeadLetter) -> None:
    """Keep a letter once, however often it is delivered."""
    async with db.across_tenants() as connection:
        values = {**asdict(letter), "headers": Jsonb(letter.headers)}
        await connection.execute(_SQL["keep"], values)

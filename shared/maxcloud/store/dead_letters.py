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
        values = {key: _storable(value) for key, value in asdict(letter).items()}
        headers = {_storable(key): _storable(value) for key, value in letter.headers.items()}
        await connection.execute(_SQL["keep"], {**values, "headers": Jsonb(headers)})


def _storable(value: object) -> object:
    # PostgreSQL keeps neither NUL nor half a character, and a letter that cannot be kept would
    # come back for ever.
    if not isinstance(value, str):
        return value
    return value.encode(errors="replace").decode().replace("\x00", "\ufffd")

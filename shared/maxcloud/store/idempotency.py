"""The rows of idempotency_keys: what requests with an Idempotency-Key answered."""

from dataclasses import asdict, dataclass
from uuid import UUID

from psycopg.types.json import Jsonb

from maxcloud.store.database import Database, rows_of, statements

_SQL = statements("idempotency")


@dataclass(frozen=True, slots=True)
class Key:
    """What names a request: the caller's word for it, of one route of one organisation."""

    org_id: UUID
    route: str
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked, as a digest, and what was answered; without a body when it is a secret."""

    digest: bytes
    status: int
    headers: dict[str, str]
    body: bytes | None


_answer_row = rows_of(Answer)


async def wait_for_turn(db: Database, key: Key) -> Answer | None:
    """Return what the request of this key answered, or None when nobody has made it yet.

    While such a request is running it is waited for; until the transaction ends, no other one
    begins. Raises Unavailable when that takes too long.
    """
    values = asdict(key)
    async with db.tenant(key.org_id) as connection:
        await connection.execute(_SQL["wait_for_turn"], values)
        cursor = connection.cursor(row_factory=_answer_row)
        await cursor.execute(_SQL["find"], values)
        return await cursor.fetchone()


async def keep(db: Database, key: Key, answer: Answer) -> None:
    """Keep an answer for 24 hours."""
    async with db.tenant(key.org_id) as connection:
        values = asdict(key) | asdict(answer) | {"headers": Jsonb(answer.headers)}
        await connection.execute(_SQL["keep"], values)


async def forget_expired_across_tenants(db: Database, most: int) -> int:
    """Delete up to `most` answers that have expired; return how many."""
    async with db.across_tenants() as connection:
        cursor = await connection.execute(_SQL["forget_expired_across_tenants"], {"most": most})
        return cursor.rowcount

"""The rows of api_keys: what proves a caller, and what its owner sees of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import dict_row

from maxcloud import keys, names
from maxcloud.accounts import APIKeyInfo
from maxcloud.errors import LastAdminKey, NotFound
from maxcloud.roles import Role
from maxcloud.store.database import Database, rows_of, statements

_SQL = statements("api_keys")


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """Whose key has a prefix; `digest` is what proves it, `membership` what its owner may do."""

    id: UUID
    org_id: UUID
    user_id: UUID
    email: str
    digest: bytes
    role: str
    membership: str
    is_verified: bool
    is_expired: bool
    was_used_lately: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key to be made, valid for `days`, or for good."""

    name: str
    role: Role
    days: int | None = None


async def look_up(db: Database, prefix: str) -> KeyOwner | None:
    """Return whose key begins with a prefix; the only question that every request asks."""
    statement = _SQL["look_up_across_tenants"]
    found = await db.ask(statement, rows_of(KeyOwner), prefix=prefix)
    return found[0] if found else None


async def touch(db: Database, org_id: UUID, id: UUID) -> None:
    """Keep that a key was used, unless that was kept within the last minute."""
    async with db.tenant(org_id) as connection:
        await connection.execute(_SQL["touch"], {"org_id": org_id, "id": id})


async def create(
    db: Database, org_id: UUID, user_id: UUID, wanted: Wanted, secret: str
) -> tuple[str, APIKeyInfo]:
    """Make a key of a member; return it, which nothing keeps, and what is known of it."""
    async with db.tenant(org_id) as connection:
        return await add(connection, org_id, user_id, wanted, secret)


async def add(
    connection: AsyncConnection, org_id: UUID, user_id: UUID, wanted: Wanted, secret: str
) -> tuple[str, APIKeyInfo]:
    """Make a key of a member, within a transaction."""
    key = keys.make()
    cursor = await _run(
        connection,
        "add",
        org_id,
        user_id=user_id,
        prefix=keys.prefix_of(key),
        digest=keys.digest(key, secret),
        name=wanted.name,
        role=wanted.role.value,
        days=wanted.days,
    )
    made = await cursor.fetchone()
    assert made is not None  # noqa: S101 - an insert returns its row
    return key, APIKeyInfo.model_validate(made)


# Where a key stands in their order: when it was made, and its id.
Place = tuple[datetime, UUID]


async def visible(
    db: Database, org_id: UUID, user_id: UUID, after: Place | None, most: int, *, of_all: bool
) -> list[APIKeyInfo]:
    """Return up to `most` of a member's keys, or the organisation's, the oldest first."""
    at, id = after or (None, None)
    values = {"user_id": user_id, "all": of_all, "after": at, "after_id": id, "most": most}
    async with db.tenant(org_id) as connection:
        cursor = await _run(connection, "visible", org_id, **values)
        return [APIKeyInfo.model_validate(row) for row in await cursor.fetchall()]


async def remove(
    db: Database, org_id: UUID, user_id: UUID, id: str, *, of_anybody: bool, force: bool
) -> None:
    """Revoke a key, at once.

    Raises NotFound, and LastAdminKey for the organisation's last one unless `force`.
    """
    wanted = names.as_id(id)
    async with db.tenant(org_id) as connection:
        # Two that go at once must not both see the other one stay.
        await _run(connection, "lock_all", org_id)
        cursor = await _run(connection, "find", org_id, id=wanted, user_id=user_id, all=of_anybody)
        key = await cursor.fetchone()
        if key is None:
            raise NotFound("no such API key")
        if key["role"] == Role.ADMIN and not force:
            others = await _run(connection, "other_admin_keys", org_id, id=wanted)
            if await others.fetchone() == {"count": 0}:
                raise LastAdminKey(
                    "this is the organisation's last admin key: make another one first, or force it"
                )
        await _run(connection, "remove", org_id, id=wanted)


async def _run(
    connection: AsyncConnection, statement: str, org_id: UUID, **values: object
) -> AsyncCursor[dict[str, Any]]:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_SQL[statement], {"org_id": org_id, **values})
    return cursor

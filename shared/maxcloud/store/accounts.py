"""Organisations, their people, and who belongs where."""

from typing import Any
from uuid import UUID, uuid4

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import dict_row

from maxcloud.accounts import Organization, RegisterResponse, User
from maxcloud.errors import InvalidToken
from maxcloud.roles import Role
from maxcloud.store import api_keys
from maxcloud.store.database import Database, statements

_SQL = statements("accounts")


async def register(db: Database, email: str, org_name: str, secret: str) -> RegisterResponse:
    """Make an organisation and its first admin, whose address is not proven, with a key.

    Raises EmailTaken and OrganizationTaken; then nothing is made.
    """
    org_id, user_id = uuid4(), uuid4()
    async with db.tenant(org_id) as connection:
        await _run(connection, "add_organisation", org_id=org_id, name=org_name)
        await _run(connection, "add_user_across_tenants", id=user_id, email=email)
        await join(connection, org_id, user_id, Role.ADMIN, is_verified=False)
        wanted = api_keys.Wanted("made when registering", Role.ADMIN)
        key, _ = await api_keys.add(connection, org_id, user_id, wanted, secret)
        user, organization = await read(connection, org_id, user_id)
    return RegisterResponse(user=user, organization=organization, api_key=key)


async def join(
    connection: AsyncConnection, org_id: UUID, user_id: UUID, role: Role, *, is_verified: bool
) -> None:
    """Make a person a member; raises AlreadyMember."""
    values = {"user_id": user_id, "role": role.value, "is_verified": is_verified}
    await _run(connection, "add_membership", org_id=org_id, **values)


async def prove_address(db: Database, org_id: UUID, user_id: UUID, email: str) -> None:
    """Keep that a member has the mail to their address; raises InvalidToken when there is none."""
    async with db.tenant(org_id) as connection:
        cursor = await _run(connection, "prove", org_id=org_id, user_id=user_id, email=email)
        if not cursor.rowcount:
            raise InvalidToken("this token belongs to no account any more", field="token")


async def who(db: Database, org_id: UUID, user_id: UUID) -> tuple[User, Organization]:
    """Return a member and their organisation."""
    async with db.tenant(org_id) as connection:
        return await read(connection, org_id, user_id)


async def read(
    connection: AsyncConnection, org_id: UUID, user_id: UUID
) -> tuple[User, Organization]:
    """Return a member and their organisation, within a transaction."""
    member = await (await _run(connection, "member", org_id=org_id, user_id=user_id)).fetchone()
    organisation = await (await _run(connection, "organisation", org_id=org_id)).fetchone()
    return User.model_validate(member), Organization.model_validate(organisation)


async def _run(
    connection: AsyncConnection, statement: str, **values: object
) -> AsyncCursor[dict[str, Any]]:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_SQL[statement], values)
    return cursor

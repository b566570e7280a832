"""The rows of invitations: who is asked into an organisation, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import RowMaker

from maxcloud import names
from maxcloud.accounts import AcceptInviteResponse, Invitation, InvitationStatus
from maxcloud.errors import (
    AlreadyMember,
    Conflict,
    InvalidToken,
    InvitationRevoked,
    InvitationUsed,
    NotFound,
    TokenExpired,
)
from maxcloud.hints import Hint
from maxcloud.roles import Role
from maxcloud.store import accounts, api_keys
from maxcloud.store.database import Database, statements
from maxcloud.tokens import Claims

DAYS = 7

# Where an invitation stands in their order: when it was made, and its id.
Place = tuple[datetime, UUID]

_SQL = statements("invitations")


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """A row of invitations; `org_name` and `inviter` are what others are called."""

    id: UUID
    org_id: UUID
    email: str
    role: str
    status: str
    mail_error: str | None
    expires_at: datetime
    created_at: datetime
    org_name: str = ""
    inviter: str = ""

    @property
    def state(self) -> InvitationStatus:
        """What became of it; time makes a pending one expired."""
        if self.status == InvitationStatus.PENDING and self.expires_at <= datetime.now(UTC):
            return InvitationStatus.EXPIRED
        return InvitationStatus(self.status)

    def claims(self) -> Claims:
        """Return what the token says."""
        return Claims(self.id, self.org_id, self.email, self.created_at, self.expires_at)

    def hint(self) -> Hint:
        """Return the data of an event that names this invitation."""
        return Hint(id=self.id, org_id=self.org_id)

    def public(self) -> Invitation:
        """Return the invitation as the API shows it."""
        shown = {field: getattr(self, field) for field in _PUBLIC}
        return Invitation(**{**shown, "status": self.state, "invited_by": self.inviter})


_COLUMNS = frozenset(field.name for field in fields(InvitationRow))
_PUBLIC = _COLUMNS & frozenset(Invitation.model_fields)


async def create(
    db: Database, org_id: UUID, email: str, role: Role, invited_by: UUID
) -> InvitationRow:
    """Invite an address for some days; an earlier pending invitation of it is taken back.

    Raises AlreadyMember.
    """
    async with db.tenant(org_id) as connection:
        # Two at once for one address are one after the other.
        await _run(connection, "lock_all", org_id)
        if await (await _run(connection, "is_member", org_id, email=email)).fetchone():
            raise AlreadyMember("a person of this address is a member already", field="email")
        await _run(connection, "take_back_earlier", org_id, email=email)
        values = {"email": email, "role": role.value, "invited_by": invited_by, "days": DAYS}
        made = await (await _run(connection, "add", org_id, **values)).fetchone()
        assert made is not None  # noqa: S101 - an insert returns its row
        return await _find(connection, org_id, made[0])


async def all_of_organisation(
    db: Database, org_id: UUID, before: Place | None, most: int
) -> list[InvitationRow]:
    """Return up to `most` of an organisation's invitations, newest first."""
    at, id = before or (None, None)
    values = {"before": at, "before_id": id, "most": most}
    async with db.tenant(org_id) as connection:
        cursor = await _rows(connection, "all_of_organisation", org_id, **values)
        return await cursor.fetchall()


async def revoke(db: Database, org_id: UUID, id: str) -> None:
    """Take an invitation back. Raises NotFound, and Conflict for one that was accepted."""
    wanted = names.as_id(id)
    async with db.tenant(org_id) as connection:
        row = await (await _rows(connection, "find_and_lock", org_id, id=wanted)).fetchone()
        if row is None:
            raise NotFound("no such invitation")
        if row.status == InvitationStatus.ACCEPTED:
            raise Conflict("this invitation was accepted already")
        await _run(connection, "settle", org_id, id=wanted, status=InvitationStatus.REVOKED.value)


async def accept(
    db: Database, org_id: UUID, id: UUID, email: str, secret: str
) -> AcceptInviteResponse:
    """Make the invited address a member, proven by the token, and give them a key.

    Raises InvalidToken and its kin, or AlreadyMember; then nothing has changed.
    """
    async with db.tenant(org_id) as connection:
        row = await (await _rows(connection, "find_and_lock", org_id, id=id)).fetchone()
        if row is None or row.email != email:
            raise InvalidToken("this invitation is not there any more", field="token")
        _require_pending(row)
        role = Role(row.role)
        cursor = await _run(connection, "person_across_tenants", org_id, email=email)
        person = await cursor.fetchone()
        assert person is not None  # noqa: S101 - made where there was none
        user_id: UUID = person[0]
        await accounts.join(connection, org_id, user_id, role, is_verified=True)
        await _run(connection, "settle", org_id, id=id, status=InvitationStatus.ACCEPTED.value)
        wanted = api_keys.Wanted("made when joining", role)
        key, _ = await api_keys.add(connection, org_id, user_id, wanted, secret)
        user, organization = await accounts.read(connection, org_id, user_id)
    return AcceptInviteResponse(user=user, organization=organization, role=role, api_key=key)


def _require_pending(row: InvitationRow) -> None:
    match row.state:
        case InvitationStatus.ACCEPTED:
            raise InvitationUsed("this invitation was accepted already", field="token")
        case InvitationStatus.REVOKED:
            raise InvitationRevoked("this invitation was taken back", field="token")
        case InvitationStatus.EXPIRED:
            raise TokenExpired("this invitation has expired: ask for a new one", field="token")


async def _find(connection: AsyncConnection, org_id: UUID, id: UUID) -> InvitationRow:
    row = await (await _rows(connection, "find", org_id, id=id)).fetchone()
    assert row is not None  # noqa: S101 - it was written in this transaction
    return row


def invitation_row(cursor: AsyncCursor[Any]) -> RowMaker[InvitationRow]:
    """Map rows of invitations; the one mapper of the table."""
    columns = [column.name for column in cursor.description or ()]

    def make(values: Sequence[Any]) -> InvitationRow:
        return InvitationRow(
            **{c: v for c, v in zip(columns, values, strict=True) if c in _COLUMNS}
        )

    return make


async def _rows(
    connection: AsyncConnection, statement: str, org_id: UUID, **values: object
) -> AsyncCursor[InvitationRow]:
    cursor = connection.cursor(row_factory=invitation_row)
    await cursor.execute(_SQL[statement], {"org_id": org_id, **values})
    return cursor


async def _run(
    connection: AsyncConnection, statement: str, org_id: UUID, **values: object
) -> AsyncCursor[Any]:
    return await connection.execute(_SQL[statement], {"org_id": org_id, **values})

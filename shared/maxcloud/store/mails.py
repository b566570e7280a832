"""The outbox: rows whose mail has not gone out. Each is locked while its mail is on its way."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from psycopg.rows import AsyncRowFactory, class_row

from maxcloud.hints import Hint
from maxcloud.store.database import Database, statements
from maxcloud.store.invitations import InvitationRow, invitation_row
from maxcloud.tokens import Claims

PROOF_DAYS = 30

# How long a mail may be on its way: longer than a server may be silent, and shorter than a
# delivery of the event may take. Whoever gives up before the server answers sends it twice.
SECONDS = 45

_SQL = statements("mails")
_STEPS = {
    "invitation": (_SQL["lock_invitation"], _SQL["invitation_sent"], _SQL["invitation_failed"]),
    "registration": (
        *(_SQL["lock_registration"], _SQL["registration_sent"], _SQL["registration_failed"]),
    ),
}

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class RegistrationRow:
    """A membership whose address is to be proven."""

    user_id: UUID
    org_id: UUID
    email: str
    org_name: str
    created_at: datetime

    def claims(self) -> Claims:
        """Return what the token says."""
        expires_at = self.created_at + timedelta(days=PROOF_DAYS)
        return Claims(self.user_id, self.org_id, self.email, self.created_at, expires_at)


async def post_invitation(
    db: Database, hint: Hint, post: Callable[[InvitationRow], Awaitable[str | None]]
) -> None:
    """Let `post` send an invitation's mail, once, and keep what became of it.

    `post` returns why the mail can never be sent, or None; what it raises leaves the row as it
    was. Nothing happens to a row whose mail was sent, that is no longer pending, or that another
    handler is at.
    """
    await _posted(db, hint, "invitation", invitation_row, post)


async def post_registration(
    db: Database, hint: Hint, post: Callable[[RegistrationRow], Awaitable[str | None]]
) -> None:
    """Let `post` send the mail that asks for the proof of an address, as above."""
    await _posted(db, hint, "registration", class_row(RegistrationRow), post)


async def _posted(
    db: Database,
    hint: Hint,
    kind: str,
    factory: AsyncRowFactory[_Row],
    post: Callable[[_Row], Awaitable[str | None]],
) -> None:
    lock, sent, failed = _STEPS[kind]
    values = {"org_id": hint.org_id, "id": hint.id, "proof_days": PROOF_DAYS}
    async with db.tenant_for(hint.org_id, SECONDS) as connection:
        cursor = connection.cursor(row_factory=factory)
        row = await (await cursor.execute(lock, values)).fetchone()
        if row is not None:
            reason = await post(row)
            step = sent if reason is None else failed
            await connection.execute(step, {**values, "reason": reason})


async def unsent_invitations_across_tenants(db: Database, most: int) -> list[Hint]:
    """Return up to `most` invitations whose mail is still to go out, in any order."""
    async with db.across_tenants() as connection:
        cursor = connection.cursor(row_factory=class_row(Hint))
        await cursor.execute(_SQL["unsent_invitations_across_tenants"], {"most": most})
        return await cursor.fetchall()


async def unsent_registrations_across_tenants(db: Database, most: int) -> list[Hint]:
    """Return up to `most` memberships whose address is still to be proven, in any order.

    One whose token would be too old by now is none of them.
    """
    async with db.across_tenants() as connection:
        cursor = connection.cursor(row_factory=class_row(Hint))
        values = {"most": most, "proof_days": PROOF_DAYS}
        await cursor.execute(_SQL["unsent_registrations_across_tenants"], values)
        return await cursor.fetchall()

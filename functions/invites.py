"""Invites: asking people into an organisation, and what they do with the token they are sent."""

from typing import Any

from functions_framework.aio import http
from starlette.requests import Request
from starlette.responses import HTMLResponse

from maxcloud import landing, tokens
from maxcloud.accounts import (
    AcceptInviteRequest,
    AcceptInviteResponse,
    Invitation,
    InviteRequest,
    InviteResponse,
)
from maxcloud.calls import Call
from maxcloud.events import Type
from maxcloud.http import Api
from maxcloud.pages import Page
from maxcloud.roles import Role
from maxcloud.store import invitations, limits

api = Api("invites", needs_secret=True)


@http
async def invites(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.post("/api/v1/auth/invites", Role.ADMIN, status=201)
async def create_invite(call: Call, wanted: InviteRequest) -> InviteResponse:
    """Invite an address; the token goes there by mail, and only in DEV_MODE stands here too."""
    # Whoever has not proven an address of their own must not fill those of others.
    limit = limits.INVITE if call.caller.is_verified else limits.INVITE_UNVERIFIED
    await limits.count(call.db, limit, call.org_id)
    row = await invitations.create(
        call.db, call.org_id, wanted.email, wanted.role, call.caller.user_id
    )
    call.hint(Type.INVITE_CREATED, row.hint())
    token = None
    if call.config.dev_mode:
        token = tokens.make(tokens.INVITATION, row.claims(), call.config.secret_keys[0])
    return InviteResponse(invitation=row.public(), token=token)


@api.get("/api/v1/auth/invites", Role.ADMIN)
async def list_invites(call: Call, page: Page[invitations.Place]) -> list[Invitation]:
    """List the organisation's invitations, the newest first."""
    found = await invitations.all_of_organisation(call.db, call.org_id, page.after, page.look_for)
    return [row.public() for row in page.cut(found, lambda row: (row.created_at, row.id))]


@api.delete("/api/v1/auth/invites/{id}", Role.ADMIN)
async def revoke_invite(call: Call) -> None:
    """Take an invitation back; its token is of no use from then on."""
    await invitations.revoke(call.db, call.org_id, call.parameter("id"))


@api.get("/api/v1/auth/accept-invite")
async def accept_invite_page(call: Call) -> HTMLResponse:
    """Show the page that the link in the mail leads to; its button accepts the invitation."""
    return landing.page(
        "Einladung annehmen · Accept the invitation",
        "Annehmen · Accept",
        "Der Schlüssel wird nur dieses eine Mal gezeigt. · The key is shown this once.",
    )


@api.post("/api/v1/auth/accept-invite", status=201)
async def accept_invite(call: Call, sent: AcceptInviteRequest) -> AcceptInviteResponse:
    """Become a member by the token from the mail; the key in the answer is shown this once."""
    await limits.count(call.db, limits.ACCEPT, call.client)
    id, org_id, email = tokens.read(tokens.INVITATION, sent.token, call.config.secret_keys)
    return await invitations.accept(call.db, org_id, id, email, call.config.secret_keys[0])

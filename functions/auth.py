"""Auth: organisations, the people who register them, and the keys that prove a caller."""

from typing import Any

from functions_framework.aio import http
from starlette.requests import Request
from starlette.responses import HTMLResponse

from maxcloud import landing, tokens
from maxcloud.accounts import (
    APIKeyInfo,
    AuthInfo,
    CreateAPIKeyRequest,
    CreateAPIKeyResponse,
    RegisterRequest,
    RegisterResponse,
    VerifyRequest,
)
from maxcloud.calls import Call
from maxcloud.config import Registration
from maxcloud.errors import Forbidden, InvalidField, RegistrationClosed
from maxcloud.events import Type
from maxcloud.hints import Hint
from maxcloud.http import Api
from maxcloud.pages import Page
from maxcloud.roles import Role
from maxcloud.store import accounts, api_keys, limits

api = Api("auth", needs_secret=True)


@http
async def auth(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.post("/api/v1/auth/register", status=201)
async def register(call: Call, wanted: RegisterRequest) -> RegisterResponse:
    """Make an organisation and its first admin; the key in the answer is shown this once."""
    if call.config.registration == Registration.CLOSED:
        raise RegistrationClosed("this installation takes new members by invitation only")
    await limits.count(call.db, limits.REGISTER, call.client)
    secret = call.config.secret_keys[0]
    made = await accounts.register(call.db, wanted.email, wanted.org_name, secret)
    org_id = made.organization.id
    call.hint(Type.ORG_CREATED, Hint(id=org_id, org_id=org_id))
    call.hint(Type.USER_REGISTERED, Hint(id=made.user.id, org_id=org_id))
    return made


@api.post("/api/v1/auth/verify", status=204)
async def verify(call: Call, sent: VerifyRequest) -> None:
    """Prove an address by the token that was mailed to it; a second time changes nothing."""
    await limits.count(call.db, limits.VERIFY, call.client)
    user_id, org_id, email = tokens.read(
        tokens.PROOF_OF_ADDRESS, sent.token, call.config.secret_keys
    )
    await accounts.prove_address(call.db, org_id, user_id, email)


@api.get("/api/v1/auth/verify")
async def verify_page(call: Call) -> HTMLResponse:
    """Show the page that the link in the mail leads to; its button proves the address."""
    return landing.page(
        "Adresse bestätigen · Confirm your address",
        "Bestätigen · Confirm",
        "Danach kannst du deployen. · Then you can deploy.",
    )


@api.get("/api/v1/auth/status", Role.READ)
async def auth_status(call: Call) -> AuthInfo:
    """Show who the caller is, in which organisation, and what the key may do."""
    user, organization = await accounts.who(call.db, call.org_id, call.caller.user_id)
    return AuthInfo(
        user=user,
        organization=organization,
        role=call.caller.role,
        verified=call.caller.is_verified,
    )


@api.post("/api/v1/auth/api-keys", Role.MEMBER, status=201, secret=True)
async def create_api_key(call: Call, wanted: CreateAPIKeyRequest) -> CreateAPIKeyResponse:
    """Make another key of the caller's; it is shown this once."""
    role = wanted.role or call.caller.role
    if not call.caller.role.covers(role):
        raise Forbidden(f"a key can have at most your role, which is {call.caller.role}")
    made = api_keys.Wanted(wanted.name, role, wanted.expires_in_days)
    key, info = await api_keys.create(
        call.db, call.org_id, call.caller.user_id, made, call.config.secret_keys[0]
    )
    return CreateAPIKeyResponse(api_key=key, info=info)


@api.get("/api/v1/auth/api-keys", Role.MEMBER)
async def list_api_keys(call: Call, page: Page[api_keys.Place]) -> list[APIKeyInfo]:
    """List the caller's keys, for an admin the organisation's, the oldest first."""
    found = await api_keys.visible(
        call.db,
        call.org_id,
        call.caller.user_id,
        page.after,
        page.look_for,
        of_all=call.caller.role is Role.ADMIN,
    )
    return list(page.cut(found, lambda key: (key.created_at, key.id)))


@api.delete("/api/v1/auth/api-keys/{id}", Role.MEMBER)
async def delete_api_key(call: Call) -> None:
    """Revoke a key at once; the last admin key only with `?force=true`."""
    force = call.request.query_params.get("force", "false")
    if force not in {"true", "false"}:
        raise InvalidField("force must be true or false", field="force")
    await api_keys.remove(
        call.db,
        call.org_id,
        call.caller.user_id,
        call.parameter("id"),
        of_anybody=call.caller.role is Role.ADMIN,
        force=force == "true",
    )

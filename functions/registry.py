"""Registry: tokens for the private registry, and what an organisation has in it.

Distribution keeps the images and asks nobody: what a token of ours says, it grants.
"""

import base64
import binascii
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from functions_framework.aio import http
from starlette.requests import Request

from maxcloud import auth, log, wire
from maxcloud import registry as tokens
from maxcloud.errors import (
    Forbidden,
    InvalidField,
    MalformedRequest,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)
from maxcloud.http import Api, Call
from maxcloud.images import RegistryTokenResponse
from maxcloud.models import Role

# How clients of a registry show a key: as the password, whatever the user's name (RFC 7617).
BASIC = 'Basic realm="maxcloud", charset="UTF-8"'

FORM = "application/x-www-form-urlencoded"

# More scopes than any client asks for at once, and few enough for a header to carry the token.
SCOPES_MAX = 50

api = Api("registry")


@http
async def registry(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.get("/api/v1/registry/token")
async def get_registry_token(call: Call) -> RegistryTokenResponse:
    """Give a token for the registry, as Docker and its like ask for one.

    The key is the password of Basic, or the Bearer; `scope` may come more than once.
    """
    scheme, _, credential = call.request.headers.get("authorization", "").partition(" ")
    key = _password(credential) if scheme.lower() == "basic" else credential
    return await _token(call, key, call.request.query_params.getlist("scope"))


@api.post("/api/v1/registry/token")
async def post_registry_token(call: Call) -> RegistryTokenResponse:
    """Give a token for the registry, as containerd and BuildKit ask for one: by a form.

    Only `grant_type=password` is known, with the key as the password: there are no refresh tokens.
    """
    form = await _form(call.request)
    if form.get("grant_type") != ["password"]:
        raise InvalidField("grant_type must be password", field="grant_type")
    return await _token(call, form.get("password", [""])[0], form.get("scope", []))


async def _token(call: Call, key: str, scopes: list[str]) -> RegistryTokenResponse:
    """Return a token for what the bearer of a key may do of what they ask for.

    Missing rights make it a lesser token and no refusal: the registry has the better words.
    """
    secrets = call.config.registry_secrets
    if not secrets:
        raise Unavailable("this installation has no registry: its operator has not set one up")
    org_id, subject, allowed = await _bearer(call, key)
    now = int(time.time())
    access = tokens.granted(scopes, org_id, allowed)[:SCOPES_MAX]
    seconds = call.config.registry_token_seconds
    audience = call.config.registry_url
    token = tokens.token(secrets, audience, subject, access, at=now, seconds=seconds)
    return RegistryTokenResponse(
        token=token,
        access_token=token,
        expires_in=seconds,
        issued_at=datetime.fromtimestamp(now, UTC),
    )


async def _bearer(call: Call, key: str) -> tuple[UUID, str, tuple[str, ...]]:
    """Return the organisation of a key, who has it, and what they may do with its images."""
    puller = tokens.puller(key, call.config.registry_secrets)
    if puller is not None:
        return puller, tokens.ROBOT, tokens.READING
    try:
        shown = {"authorization": f"Bearer {key}"}
        found = await auth.identify(shown, call.client, call.config, call.db)
    except Unauthenticated as refused:
        refused.challenge = BASIC
        raise
    call.identity = found
    log.org_id.set(str(found.org_id))
    call.later.add_task(auth.note_use, found, call.db)
    try:
        auth.require(found, Role.DEPLOY, call.config)
    except Forbidden:
        return found.org_id, str(found.user_id), tokens.READING
    return found.org_id, str(found.user_id), tokens.WRITING


def _password(credential: str) -> str:
    try:
        return base64.b64decode(credential, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeError):
        return ""


async def _form(request: Request) -> dict[str, list[str]]:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != FORM:
        raise UnsupportedMedia(f"the body must be a form: send Content-Type: {FORM}")
    try:
        return parse_qs((await wire.read_bytes(request)).decode(), max_num_fields=100)
    except ValueError as error:  # no UTF-8, or more fields than anybody sends
        raise MalformedRequest("the body is not a form") from error

"""Registry: tokens for the private registry, and what an organisation has in it.

Distribution keeps the images and asks nobody: what a token of ours says, it grants.
"""

import base64
import binascii
import contextlib
import hmac
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from functions_framework.aio import http
from starlette.requests import Request

from maxcloud import auth, log, wire
from maxcloud import registry as tokens
from maxcloud.errors import (
    Forbidden,
    MalformedRequest,
    NotFound,
    TemporaryError,
    Unauthenticated,
    Unavailable,
)
from maxcloud.events import Type
from maxcloud.http import Api, Call
from maxcloud.images import (
    Image,
    RegistryTokenForm,
    RegistryTokenQuery,
    RegistryTokenResponse,
)
from maxcloud.models import Role
from maxcloud.pages import Page
from maxcloud.registry import Access
from maxcloud.store import images

# How clients of a registry show a key: as the password, whatever the user's name (RFC 7617).
BASIC = 'Basic realm="maxcloud", charset="UTF-8"'

# What a tag is (OCI distribution specification, "Pulling manifests").
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")

# More scopes than any client asks for at once, and few enough for a header to carry the token.
SCOPES_MAX = 50

api = Api("registry")


@http
async def registry(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.get("/api/v1/registry/token")
async def get_registry_token(call: Call, query: RegistryTokenQuery) -> RegistryTokenResponse:
    """Give a token for the registry, as Docker and its like ask for one.

    The key is the password of Basic, or the Bearer.
    """
    scheme, _, credential = call.request.headers.get("authorization", "").partition(" ")
    key = _password(credential) if scheme.lower() == "basic" else credential
    return await _token(call, key, query.scope)


@api.post("/api/v1/registry/token")
async def post_registry_token(call: Call, form: RegistryTokenForm) -> RegistryTokenResponse:
    """Give a token for the registry, as containerd and BuildKit ask for one: by a form.

    There are no refresh tokens.
    """
    return await _token(call, form.password, [form.scope])


@api.get("/api/v1/registry/images", Role.READ)
async def list_images(call: Call, page: Page[images.Place]) -> list[Image]:
    """List the organisation's images: each build with its tags, by name, the newest first."""
    found = await images.builds(call.db, call.org_id, page.after, page.look_for)
    return list(page.cut(found, lambda image: (image.name, image.created_at, image.digest)))


@api.delete("/api/v1/registry/images/{name:path}/tags/{tag}", Role.DEPLOY)
async def delete_image(call: Call) -> None:
    """Delete a tag, and with the last one the build; refused while requests reach it."""
    # Late, because a start would wait for httpx.
    from maxcloud import catalogue

    _require_registry(call)
    name, tag = call.parameter("name"), call.parameter("tag")
    if not _TAG.match(tag):
        raise NotFound("no such image")
    with _as_an_answer():
        await catalogue.delete(call.config, call.db, call.org_id, name, tag)


@api.hook("/notifications")
async def on_notification(call: Call) -> None:
    """Take what Distribution says of pushed and deleted tags, and look for ourselves."""
    from maxcloud import catalogue, distribution

    _require_registry(call)
    _, _, shown = call.request.headers.get("authorization", "").partition(" ")
    known = tokens.hook_secrets(call.config.registry_secrets)
    if not any(hmac.compare_digest(shown.encode(), secret.encode()) for secret in known):
        raise Unauthenticated("authentication required")
    with _as_an_answer():
        async with distribution.opened(call.config) as there:
            for org_id, name, tag, pushed in _tags_in(await wire.read_bytes(call.request)):
                if pushed:
                    repository = tokens.repository(org_id, name)
                    await catalogue.wait_for(there, repository, tag, pushed)
                if row := await catalogue.look(call.db, there, org_id, name, tag):
                    call.hint(Type.IMAGE_PUSHED, row.hint())


def _tags_in(envelope: bytes) -> set[tuple[UUID, str, str, str]]:
    """Return the tags that an envelope of events is about, and the digest of what was pushed.

    Source: distribution/notifications/event.go.
    """
    found = set()
    try:
        for event in json.loads(envelope)["events"]:
            target = event["target"]
            owner, tag = tokens.owner_of(target["repository"]), target.get("tag", "")
            pushed = str(target["digest"]) if event.get("action") == "push" else ""
            if owner and _TAG.match(tag):
                found.add((*owner, tag, pushed))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise MalformedRequest("the body is no envelope of events") from error
    return found


def _require_registry(call: Call) -> None:
    if not call.config.registry_secrets:
        raise Unavailable("this installation has no registry: its operator has not set one up")


@contextlib.contextmanager
def _as_an_answer() -> Iterator[None]:
    try:
        yield
    except TemporaryError as error:
        raise Unavailable(f"{error}; try again in a moment", retry_after=5) from error


async def _token(call: Call, key: str, scopes: list[str]) -> RegistryTokenResponse:
    """Return a token for what the bearer of a key may do of what they ask for.

    Missing rights make it a lesser token and no refusal: the registry has the better words.
    """
    _require_registry(call)
    org_id, subject, allowed = await _bearer(call, key)
    now = int(time.time())
    granted = tokens.granted(scopes, org_id, allowed)[:SCOPES_MAX]
    access = [await _kept_from_harm(call, org_id, each) for each in granted]
    seconds = call.config.registry_token_seconds
    audience = call.config.registry_url
    secrets = call.config.registry_secrets
    token = tokens.token(secrets, audience, subject, access, at=now, seconds=seconds)
    return RegistryTokenResponse(
        token=token,
        access_token=token,
        expires_in=seconds,
        issued_at=datetime.fromtimestamp(now, UTC),
    )


async def _kept_from_harm(call: Call, org_id: UUID, access: Access) -> Access:
    """Return an access without the right to delete while requests reach a build of its repository.

    A client deletes by digest, whatever tags there are; our own route looks at each build.
    """
    if tokens.DELETE in access.actions:
        place = f"{call.config.registry_url}/{access.name}"
        if await images.repository_serves(call.db, org_id, place):
            left = tuple(action for action in access.actions if action != tokens.DELETE)
            return Access(access.name, left)
    return access


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

"""Who asks for a token of the private registry, and what they get of what they ask for."""

import base64
import binascii
import time
from datetime import UTC, datetime
from uuid import UUID

from maxcloud import auth, log, registry
from maxcloud.calls import Call
from maxcloud.errors import Forbidden, Unauthenticated
from maxcloud.images import RegistryTokenResponse
from maxcloud.registry import Access
from maxcloud.roles import Role
from maxcloud.store import images

# How clients of a registry show a key: as the password, whatever the user's name (RFC 7617).
BASIC = 'Basic realm="maxcloud", charset="UTF-8"'

# More scopes than any client asks for at once, and few enough for a header to carry the token.
SCOPES_MAX = 50


def key_of(authorization: str) -> str:
    """Return the key in a header of Basic, as its password, or of Bearer; empty without one."""
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() != "basic":
        return credential
    try:
        return base64.b64decode(credential, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeError):
        return ""


async def grant(call: Call, key: str, scopes: list[str]) -> RegistryTokenResponse:
    """Return a token for what the bearer of a key may do of what they ask for.

    Missing rights make it a lesser token and no refusal: the registry has the better words. Raises
    Unauthenticated for a key that is none.
    """
    org_id, subject, allowed = await _bearer(call, key)
    now = int(time.time())
    granted = registry.granted(scopes, org_id, allowed)[:SCOPES_MAX]
    access = [await _kept_from_harm(call, org_id, each) for each in granted]
    seconds = call.config.registry_token_seconds
    audience = call.config.registry_url
    secrets = call.config.registry_secrets
    token = registry.token(secrets, audience, subject, access, at=now, seconds=seconds)
    return RegistryTokenResponse(
        token=token,
        access_token=token,
        expires_in=seconds,
        issued_at=datetime.fromtimestamp(now, UTC),
    )


async def _bearer(call: Call, key: str) -> tuple[UUID, str, tuple[str, ...]]:
    """Return the organisation of a key, who has it, and what they may do with its images."""
    puller = registry.puller(key, call.config.registry_secrets)
    if puller is not None:
        return puller, registry.ROBOT, registry.READING
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
        return found.org_id, str(found.user_id), registry.READING
    return found.org_id, str(found.user_id), registry.WRITING


async def _kept_from_harm(call: Call, org_id: UUID, access: Access) -> Access:
    """Return an access without the right to delete while requests reach a build of its repository.

    A client deletes by digest, whatever tags there are; our own route looks at each build.
    """
    if registry.DELETE in access.actions:
        place = f"{call.config.registry_url}/{access.name}"
        if await images.repository_serves(call.db, org_id, place):
            left = tuple(action for action in access.actions if action != registry.DELETE)
            return Access(access.name, left)
    return access

"""Registry: tokens for the private registry, and what an organisation has in it.

Distribution keeps the images and asks nobody: what a token of ours says, it grants.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from functions_framework.aio import http
from starlette.requests import Request

from maxcloud import granting, wire
from maxcloud import registry as tokens
from maxcloud.calls import Call
from maxcloud.errors import NotFound, TemporaryError, Unauthenticated, Unavailable
from maxcloud.events import Type
from maxcloud.http import Api
from maxcloud.images import (
    Image,
    RegistryTokenForm,
    RegistryTokenQuery,
    RegistryTokenResponse,
)
from maxcloud.pages import Page
from maxcloud.roles import Role
from maxcloud.store import images

api = Api("registry", needs_secret=True)


@http
async def registry(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.get("/api/v1/registry/token")
async def get_registry_token(call: Call, query: RegistryTokenQuery) -> RegistryTokenResponse:
    """Give a token for the registry, as Docker and its like ask for one.

    The key is the password of Basic, or the Bearer.
    """
    _require_registry(call)
    key = granting.key_of(call.request.headers.get("authorization", ""))
    return await granting.grant(call, key, query.scope)


@api.post("/api/v1/registry/token")
async def post_registry_token(call: Call, form: RegistryTokenForm) -> RegistryTokenResponse:
    """Give a token for the registry, as containerd and BuildKit ask for one: by a form.

    There are no refresh tokens.
    """
    _require_registry(call)
    return await granting.grant(call, form.password, [form.scope])


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
    if not tokens.is_tag(tag):
        raise NotFound("no such image")
    with _as_an_answer():
        await catalogue.delete(call.config, call.db, call.org_id, name, tag)


@api.hook("/notifications")
async def on_notification(call: Call) -> None:
    """Take what Distribution says of pushed and deleted tags, and look for ourselves."""
    from maxcloud import catalogue, distribution

    _require_registry(call)
    shown = granting.key_of(call.request.headers.get("authorization", ""))
    if not tokens.is_hook_secret(shown, call.config.registry_secrets):
        raise Unauthenticated("authentication required")
    said = distribution.tags_in(await wire.read_bytes(call.request))
    with _as_an_answer():
        for row in await catalogue.look_at(call.config, call.db, said):
            call.hint(Type.IMAGE_PUSHED, row.hint())


def _require_registry(call: Call) -> None:
    if not call.config.registry_secrets:
        raise Unavailable("this installation has no registry: its operator has not set one up")


@contextlib.contextmanager
def _as_an_answer() -> Iterator[None]:
    try:
        yield
    except TemporaryError as error:
        raise Unavailable(f"{error}; try again in a moment", retry_after=5) from error

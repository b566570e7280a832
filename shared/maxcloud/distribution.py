"""The private registry, as the platform itself asks it: CNCF Distribution over its HTTP API.

Each question carries a token of its own, made here, for what it needs and nothing else. Source:
OCI distribution specification 1.1; the list of all repositories is Distribution's own.
"""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from maxcloud import registry
from maxcloud.config import Config
from maxcloud.errors import MalformedRequest, TemporaryError
from maxcloud.registry import DELETE, PULL, PUSH, Access

# How long one answer may take, and a token of ours is good for.
ANSWER_SECONDS, TOKEN_SECONDS = 10.0, 60

# Who asks, in Distribution's log.
OURSELVES = "maxcloud"

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)

# Of an index that names more platforms than there are, as many are counted.
PLATFORMS_MAX = 50
BYTES_MAX = 2**63 - 1

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Build:
    """What a tag leads to; `size_bytes` is all of it, for each platform, as it is transferred."""

    digest: str
    size_bytes: int


class Distribution:
    """The registry of this installation."""

    def __init__(self, web: httpx.AsyncClient, config: Config) -> None:
        self._web, self._config = web, config

    async def build(self, repository: str, tag: str) -> Build | None:
        """Return what a tag leads to, or None when there is no such tag."""
        answer = await self._manifest("GET", repository, tag)
        if answer is None:
            return None
        return Build(_digest(answer), await self._size(repository, answer.json()))

    async def digest(self, repository: str, tag: str) -> str | None:
        """Return the digest that a tag leads to, or None when there is no such tag."""
        answer = await self._manifest("HEAD", repository, tag)
        return None if answer is None else _digest(answer)

    async def keep(self, repository: str, digest: str, tag: str) -> bool:
        """Put a tag on a build; False when there is no such build."""
        answer = await self._manifest("GET", repository, digest)
        if answer is None:
            return False
        await self._ask(
            "PUT",
            f"{repository}/manifests/{tag}",
            Access(repository, (PULL, PUSH)),
            content=answer.content,
            headers={"Content-Type": answer.headers["content-type"]},
        )
        return True

    async def remove(self, repository: str, reference: str) -> None:
        """Delete a tag, or by its digest a build with all its tags; one that is gone is fine."""
        access = Access(repository, (DELETE,))
        await self._ask("DELETE", f"{repository}/manifests/{reference}", access)

    async def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository; none of one that is not there."""
        answer = await self._ask("GET", f"{repository}/tags/list", Access(repository, (PULL,)))
        return list(answer.json().get("tags") or []) if answer else []

    async def repositories(self, after: str, most: int) -> list[str]:
        """Return up to `most` repositories of all organisations, in order, behind one of them."""
        query: dict[str, str | int] = {"n": most, **({"last": after} if after else {})}
        access = Access("catalog", ("*",), type="registry")
        answer = await self._ask("GET", "_catalog", access, params=query)
        return list(answer.json().get("repositories") or []) if answer else []

    async def _size(self, repository: str, manifest: dict[str, Any]) -> int:
        if "manifests" in manifest:
            total = 0
            for each in manifest["manifests"][:PLATFORMS_MAX]:
                answer = await self._manifest("GET", repository, each["digest"])
                # A platform that was never pushed takes no room.
                total += await self._size(repository, answer.json()) if answer else 0
        else:
            parts = [manifest.get("config") or {}, *(manifest.get("layers") or [])]
            # Whoever pushes writes the sizes down.
            total = sum(max(0, part.get("size") or 0) for part in parts)
        return min(total, BYTES_MAX)

    async def _manifest(
        self, method: str, repository: str, reference: str
    ) -> httpx.Response | None:
        headers = {"Accept": ", ".join(MANIFESTS)}
        path, access = f"{repository}/manifests/{reference}", Access(repository, (PULL,))
        return await self._ask(method, path, access, headers=headers)

    async def _ask(
        self,
        method: str,
        path: str,
        access: Access,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response | None:
        token = token_for(self._config, access)
        headers = {**(headers or {}), "Authorization": f"Bearer {token}"}
        try:
            answer = await self._web.request(method, f"/v2/{path}", headers=headers, **options)
        except httpx.TransportError as error:
            raise TemporaryError("the registry cannot be reached") from error
        if answer.status_code == _NOT_FOUND:
            return None
        if not answer.is_success:
            raise TemporaryError(f"the registry answered {answer.status_code} to {method}")
        return answer


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Distribution]:
    """Yield the registry; its methods raise TemporaryError when it is away or does not do it."""
    base = config.registry_base
    # Loading the authorities takes 30 ms; inside the cluster there is no TLS.
    way = httpx.AsyncHTTPTransport(verify=base.startswith("https:"))
    async with httpx.AsyncClient(base_url=base, transport=way, timeout=ANSWER_SECONDS) as web:
        yield Distribution(web, config)


@dataclass(frozen=True, slots=True)
class Said:
    """What a notification is about: an organisation's tag, and the digest of what was pushed."""

    org_id: UUID
    name: str
    tag: str
    pushed: str = ""


def tags_in(envelope: bytes) -> set[Said]:
    """Return what an envelope of notifications is about; raises MalformedRequest.

    Source: distribution/notifications/event.go.
    """
    found = set()
    try:
        for event in json.loads(envelope)["events"]:
            target = event["target"]
            owner, tag = registry.owner_of(target["repository"]), target.get("tag", "")
            pushed = str(target["digest"]) if event.get("action") == "push" else ""
            if owner and registry.is_tag(tag):
                found.add(Said(*owner, tag, pushed))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise MalformedRequest("the body is no envelope of events") from error
    return found


def token_for(config: Config, access: Access) -> str:
    """Return a token for the platform's own use."""
    now, audience = int(time.time()), config.registry_url
    secrets = config.registry_secrets
    return registry.token(secrets, audience, OURSELVES, [access], at=now, seconds=TOKEN_SECONDS)


def _digest(answer: httpx.Response) -> str:
    digest: str = answer.headers["docker-content-digest"]
    return digest

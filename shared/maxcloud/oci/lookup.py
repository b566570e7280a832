"""One look-up of an image: a few requests to its registry, with the token that is due there."""

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from maxcloud.errors import TemporaryError
from maxcloud.oci.answers import (
    FORBIDDEN,
    NONSENSE,
    NOT_FOUND,
    UNAUTHORIZED,
    Image,
    ImageRefused,
    document,
    for_our_nodes,
    lowest_port,
    refuse,
)
from maxcloud.oci.outward import OutwardTransport
from maxcloud.references import Reference

# One answer of a registry, and all of them together.
ANSWER_SECONDS = 10.0
LOOKUP_SECONDS = 20.0

# A manifest has at most 4 MiB (distribution specification); configurations are far smaller.
BYTES_MAX = 4 * 1024 * 1024

REDIRECTS_MAX = 3

# Images of these hosts stand in no registry: the local engine has them, and says so.
LOCAL_HOSTS = frozenset({"localhost", "maxcloud.local"})

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@dataclass(frozen=True, slots=True)
class Ours:
    """The private registry: its host in references, the address it is reached at, and tokens.

    `token` returns one for a repository, None where the asking organisation may not pull.
    """

    host: str
    address: str
    token: Callable[[str], str | None]


async def resolve(
    text: str,
    private_hosts: frozenset[str] = frozenset(),
    local_images: str | None = None,
    ours: Ours | None = None,
) -> Image:
    """Look an image up: in its registry, or where `local_images` leads when it is a local one.

    Only the registry whose host is that of `ours`, to the letter, gets a token made here, and no
    challenge is followed there.

    Raises ImageRefused when it does not exist, may not be read or makes no sense, TemporaryError
    when its registry cannot be reached or is busy.
    """
    reference = Reference.parse(text)
    if local_images and reference.host in LOCAL_HOSTS:
        return await _of_local_engine(local_images, text)
    if ours and reference.host != ours.host:
        ours = None
    transport = OutwardTransport(private_hosts, ours.address if ours else None)
    try:
        async with (
            asyncio.timeout(LOOKUP_SECONDS),
            httpx.AsyncClient(transport=transport, timeout=ANSWER_SECONDS, trust_env=False) as web,
        ):
            return await _Lookup(web, reference, text, ours).image()
    except NONSENSE as error:
        raise ImageRefused("ImageInvalid", f"{reference.host} is not a registry") from error
    except (httpx.TransportError, TimeoutError) as error:
        raise TemporaryError(f"the registry {reference.host} cannot be reached") from error


async def _of_local_engine(address: str, text: str) -> Image:
    encrypted = address.startswith("https:")  # loading the authorities takes longer than asking
    try:
        async with httpx.AsyncClient(
            timeout=ANSWER_SECONDS, trust_env=False, verify=encrypted
        ) as web:
            answer = await web.get(address, params={"reference": text})
        said = answer.json()
        if answer.status_code == NOT_FOUND:
            raise ImageRefused(said["reason"], said["error"])
        return Image(said["digest"], lowest_port(said["exposed_ports"]))
    except (*NONSENSE, ValueError, httpx.TransportError) as error:
        raise TemporaryError("the local engine cannot be asked for its images") from error


class _Lookup:
    """One look-up: a few requests to one registry, with the token it hands out, or one of ours."""

    def __init__(
        self, web: httpx.AsyncClient, reference: Reference, text: str, ours: Ours | None
    ) -> None:
        self._web = web
        self._reference = reference
        self._text = text
        self._ours = ours
        self._token = ours.token(reference.repository) if ours else None

    async def image(self) -> Image:
        named = self._reference.digest or self._reference.tag
        manifest, digest = await self._manifest(named)
        if "manifests" in manifest:
            manifest, _ = await self._manifest(for_our_nodes(manifest, self._text))
        configuration, _ = await self._json("blobs", str(manifest["config"]["digest"]), "*/*")
        container = configuration.get("config") or {}
        return Image(digest, lowest_port(container.get("ExposedPorts") or {}))

    async def _manifest(self, named: str) -> tuple[dict[str, Any], str]:
        manifest, content = await self._json("manifests", named, ", ".join(_MANIFESTS))
        # Computed, not believed: a header is only the registry's word.
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if named.startswith("sha256:") and named != digest:
            raise ImageRefused("ImageInvalid", f"{self._reference.host} sent another image")
        return manifest, digest

    async def _json(self, kind: str, named: str, accept: str) -> tuple[dict[str, Any], bytes]:
        host = self._reference.host
        base = f"https://{'registry-1.docker.io' if host == 'docker.io' else host}"
        base = self._ours.address.rstrip("/") if self._ours else base
        url = f"{base}/v2/{self._reference.repository}/{kind}/{named}"
        answer = await self._get(url, accept)
        asks = answer.status_code == UNAUTHORIZED and self._token is None
        if asks and not self._ours:
            self._token = await self._fetch_token(answer.headers.get("www-authenticate", ""))
            answer = await self._get(url, accept)
        refuse(answer.status_code, host, self._text)
        return document(answer, host), answer.content

    async def _get(self, url: str, accept: str) -> httpx.Response:
        home = urlsplit(url).netloc
        for _ in range(REDIRECTS_MAX + 1):
            headers = {"Accept": accept}
            if self._token and urlsplit(url).netloc == home:  # a redirect must not learn it
                headers["Authorization"] = f"Bearer {self._token}"
            answer = await self._fetch(url, headers)
            if not answer.is_redirect:
                return answer
            url = str(answer.url.join(answer.headers["location"]))
        raise ImageRefused("ImageInvalid", f"{self._reference.host} redirects without an end")

    async def _fetch(self, url: str, headers: dict[str, str]) -> httpx.Response:
        async with self._web.stream("GET", url, headers=headers) as answer:
            content = bytearray()
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > BYTES_MAX:
                    raise ImageRefused("ImageInvalid", f"{self._reference.host} answers too much")
        # The content is decoded by now, whatever encoding its header still names.
        kept = [(k, v) for k, v in answer.headers.raw if k.lower() != b"content-encoding"]
        return httpx.Response(
            answer.status_code, headers=kept, content=bytes(content), request=answer.request
        )

    async def _fetch_token(self, challenge: str) -> str | None:
        host = self._reference.host
        said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if not challenge.lower().startswith("bearer ") or "realm" not in said:
            refuse(FORBIDDEN, host, self._text)
        query = {"scope": f"repository:{self._reference.repository}:pull"}
        if "service" in said:
            query["service"] = said["service"]
        answer = await self._fetch(str(httpx.URL(said["realm"], params=query)), {})
        refuse(answer.status_code, host, self._text)
        body = document(answer, host)
        token: str | None = body.get("token") or body.get("access_token")
        return token

"""Ask a registry what an image is: its digest, and the port it exposes.

Tenants choose the hosts, so this is the one place where the platform goes where a stranger points:
HTTPS only, never to an address inside (unless the operator lists the host), small and quick.
"""

import asyncio
import hashlib
import ipaddress
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from maxcloud import names
from maxcloud.errors import MaxCloudError, TemporaryError
from maxcloud.references import Reference

# One answer of a registry, and all of them together.
ANSWER_SECONDS = 10.0
LOOKUP_SECONDS = 20.0

# A manifest has at most 4 MiB (distribution specification); configurations are far smaller.
BYTES_MAX = 4 * 1024 * 1024

REDIRECTS_MAX = 3

# What leads to an IPv4 address from a network without any (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")  # RFC 4291, section 2.5.5.1; among them ::1

# Images of these hosts stand in no registry: the local engine has them, and says so.
LOCAL_HOSTS = frozenset({"localhost", "maxcloud.local"})

# What the nodes run; an image index names one manifest for each platform.
ARCHITECTURE = "amd64"

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# What reading an answer raises that has another shape than the specification's: whoever answers may
# say anything.
_NONSENSE = (
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    UnicodeError,  # a name that is no host's, or text that no header carries
    httpx.DecodingError,
    httpx.InvalidURL,
)
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY = 401, 403, 404, 429


class ImageRefused(MaxCloudError):
    """No repetition finds this image; `reason` is one word, the message one sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Image:
    """What a registry said: `exposed_port` is the lowest TCP EXPOSE that Knative leaves free."""

    digest: str
    exposed_port: int | None


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
    transport = _OutwardTransport(private_hosts, ours.address if ours else None)
    try:
        async with (
            asyncio.timeout(LOOKUP_SECONDS),
            httpx.AsyncClient(transport=transport, timeout=ANSWER_SECONDS, trust_env=False) as web,
        ):
            return await _Lookup(web, reference, text, ours).image()
    except _NONSENSE as error:
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
        if answer.status_code == _NOT_FOUND:
            raise ImageRefused(said["reason"], said["error"])
        return Image(said["digest"], _lowest_port(said["exposed_ports"]))
    except (*_NONSENSE, ValueError, httpx.TransportError) as error:
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
            manifest, _ = await self._manifest(self._for_our_nodes(manifest))
        configuration, _ = await self._json("blobs", str(manifest["config"]["digest"]), "*/*")
        container = configuration.get("config") or {}
        return Image(digest, _lowest_port(container.get("ExposedPorts") or {}))

    def _for_our_nodes(self, index: Mapping[str, Any]) -> str:
        for entry in index["manifests"]:
            platform = entry.get("platform", {})
            if platform.get("os") == "linux" and platform.get("architecture") == ARCHITECTURE:
                return str(entry["digest"])
        raise ImageRefused("ImageInvalid", f"{self._text} has no build for linux/{ARCHITECTURE}")

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
        asks = answer.status_code == _UNAUTHORIZED and self._token is None
        if asks and not self._ours:
            self._token = await self._fetch_token(answer.headers.get("www-authenticate", ""))
            answer = await self._get(url, accept)
        self._refuse(answer.status_code)
        return self._parsed(answer), answer.content

    def _parsed(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            parsed = answer.json()
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise ImageRefused("ImageInvalid", f"{self._reference.host} is not a registry")
        return parsed

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
        said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if not challenge.lower().startswith("bearer ") or "realm" not in said:
            self._refuse(_FORBIDDEN)
        query = {"scope": f"repository:{self._reference.repository}:pull"}
        if "service" in said:
            query["service"] = said["service"]
        answer = await self._fetch(str(httpx.URL(said["realm"], params=query)), {})
        self._refuse(answer.status_code)
        body = self._parsed(answer)
        token: str | None = body.get("token") or body.get("access_token")
        return token

    def _refuse(self, status: int) -> None:
        host = self._reference.host
        if status == _NOT_FOUND:
            raise ImageRefused("ImageNotFound", f"{self._text} does not exist on {host}")
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            raise ImageRefused(
                "ImageNotFound", f"{self._text} does not exist on {host}, or is private"
            )
        if status == _TOO_MANY or status >= 500:  # noqa: PLR2004 - HTTP's own classes
            raise TemporaryError(f"the registry {host} answered {status}")
        if status >= 400:  # noqa: PLR2004
            raise ImageRefused("ImageInvalid", f"{host} refused the look-up with {status}")


def _lowest_port(exposed: Mapping[str, object]) -> int | None:
    ports = [int(m[1]) for m in (re.fullmatch(r"(\d{1,5})(?:/tcp)?", key) for key in exposed) if m]
    usable = (port for port in ports if 0 < port < 2**16 and port not in names.RESERVED_PORTS)
    return min(usable, default=None)


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    if parsed.version == 6:  # noqa: PLR2004
        parsed = _embedded(parsed) or parsed
    return parsed.is_global and not parsed.is_multicast  # Python takes a multicast group for global


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to, by whichever way there is."""
    if address in _NAT64 or address in _COMPATIBLE:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None,))[-1]


class _OutwardTransport(httpx.AsyncHTTPTransport):
    """Connects to the addresses that were checked, not to what a second look-up might say."""

    def __init__(self, private_hosts: frozenset[str], inside: str | None) -> None:
        super().__init__(retries=0)
        self._private_hosts = private_hosts
        # Where the operator says that the platform's own registry is.
        self._inside = _origin(httpx.URL(inside)) if inside else None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        is_inside = _origin(url) == self._inside
        if url.scheme != "https" and not is_inside:
            raise ImageRefused("ImageInvalid", f"{url.host} is not reached over https")
        port = url.port or (443 if url.scheme == "https" else 80)
        address = await self._address(url.host, port, may_be_private=is_inside)
        # The name stays in the Host header and in TLS; only the connection goes to the address.
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        request.url = url.copy_with(host=address)
        try:
            return await super().handle_async_request(request)
        finally:
            request.url = url

    async def _address(self, host: str, port: int, *, may_be_private: bool) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise TemporaryError(
                    f"the name {host} cannot be looked up at the moment"
                ) from error
            raise ImageRefused("ImageNotFound", f"there is no registry named {host}") from error
        addresses = [str(entry[4][0]) for entry in found]
        may_be_private = may_be_private or bool(self._private_hosts & {host, f"{host}:{port}"})
        if not may_be_private and not all(map(_is_public, addresses)):
            raise ImageRefused("ImageNotFound", f"{host} is not a public registry")
        return addresses[0]

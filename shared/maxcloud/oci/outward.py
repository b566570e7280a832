"""The way out: to public addresses over HTTPS, and where the operator allows it."""

import asyncio
import ipaddress
import socket

import httpx

from maxcloud.errors import TemporaryError
from maxcloud.oci.answers import ImageRefused

# What leads to an IPv4 address from a network without any (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")  # RFC 4291, section 2.5.5.1; among them ::1


class OutwardTransport(httpx.AsyncHTTPTransport):
    """Connects to the addresses that were checked, not to what a second look-up might say.

    Raises ImageRefused for what may not be reached, TemporaryError for a name that cannot be looked
    up at the moment.
    """

    def __init__(self, private_hosts: frozenset[str], inside: str | None) -> None:
        super().__init__(retries=0)
        self._private_hosts = private_hosts
        # Where the operator says that the platform's own registry is.
        self._inside = _origin(httpx.URL(inside)) if inside else None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request to where its URL may lead."""
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


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    if parsed.version == 6:  # noqa: PLR2004
        parsed = _embedded(parsed) or parsed
    return parsed.is_global and not parsed.is_multicast  # Python takes a multicast group for global


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to, by whichever way there is."""
    if address in _NAT64 or address in _COMPATIBLE:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None,))[-1]

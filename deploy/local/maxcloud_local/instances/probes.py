"""Whether an instance takes requests, asked as Knative's queue-proxy asks a container."""

import asyncio
from contextlib import suppress

from maxcloud_local.store import Object

# Kubernetes' default for one answer.
ANSWER_SECONDS = 1

# How long a connection must live until it is believed: the proxies of Docker and of rootless
# Podman accept it before the container listens, and drop it then.
HELD_SECONDS = 0.05

_FINE = range(200, 400)


async def answers(address: str, probe: Object, *, is_proxied: bool) -> bool:
    """Ask once, by HTTP when the readiness probe says so, else by connecting.

    The port is always the one of `address`: Knative allows no other.
    """
    with suppress(OSError, ValueError, IndexError):
        async with asyncio.timeout(ANSWER_SECONDS):
            host, _, port = address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                if "httpGet" in probe:
                    return await _is_fine(reader, writer, probe["httpGet"].get("path") or "/")
                return not is_proxied or await _is_held(reader)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    return False


async def _is_fine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bool:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    status_line = await reader.readline()
    return int(status_line.split()[1]) in _FINE


async def _is_held(reader: asyncio.StreamReader) -> bool:
    try:
        # A server that speaks first is there too.
        async with asyncio.timeout(HELD_SECONDS):
            return await reader.read(1) != b""
    except TimeoutError:
        return True

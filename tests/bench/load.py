"""Load from a process of its own: `python -m tests.bench.load PORT list|create CLIENTS LIMIT`.

Each client keeps one connection and asks again as soon as it has its answer: for LIMIT seconds
when it lists, for LIMIT requests of all clients together when it creates. Prints one line of JSON.
A library's client would take as long for a request as the server does.
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator

PATH = "/api/v1/services"


class Client(asyncio.Protocol):
    """One connection, which sends the next request when an answer is complete."""

    def __init__(self, requests: Iterator[bytes], expected: bytes, seconds: list[float]) -> None:
        self._requests, self._expected, self._seconds = requests, expected, seconds
        self._answer = bytearray()
        self._sent = 0.0
        self._transport: asyncio.Transport
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, _, body = self._answer.partition(b"\r\n\r\n")
        if len(body) < _length(head):
            return
        self._seconds.append(time.perf_counter() - self._sent)
        if not head.startswith(self._expected):
            self.done.set_exception(AssertionError(bytes(self._answer)))
            return
        self._answer.clear()
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or AssertionError("the connection was closed"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
        else:
            self._sent = time.perf_counter()
            self._transport.write(request)


def _length(head: bytes | bytearray) -> float:
    """Return the length of the body; while the head is not complete, more than there can be."""
    lower = bytes(head).lower()
    _, found, rest = lower.partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0]) if found else float("inf")


def listing(seconds: float) -> Iterator[bytes]:
    """Yield GETs for so long."""
    request = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield request


def creating(number: float) -> Iterator[bytes]:
    """Yield so many POSTs, each of another service."""
    run = uuid.uuid4().hex[:12]
    for each in range(int(number)):
        body = json.dumps({"name": f"s-{run}-{each}", "image": "nginx:1.29"})
        head = [f"POST {PATH} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
        yield "\r\n".join([*head, f"Content-Length: {len(body)}", "", body]).encode()


KINDS: dict[str, tuple[Callable[[float], Iterator[bytes]], bytes]] = {
    "list": (listing, b"HTTP/1.1 200 "),
    "create": (creating, b"HTTP/1.1 201 "),
}


async def run(port: int, kind: str, clients: int, limit: float) -> dict[str, float]:
    """Return the requests per second, and the percentiles of their milliseconds."""
    make, expected = KINDS[kind]
    requests, seconds = make(limit), list[float]()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    connected = [
        await loop.create_connection(lambda: Client(requests, expected, seconds), "127.0.0.1", port)
        for _ in range(clients)
    ]
    await asyncio.gather(*(client.done for _, client in connected))
    took = time.perf_counter() - began
    seconds.sort()
    percentiles = {f"p{p}": seconds[len(seconds) * p // 100] * 1000 for p in (50, 95, 99)}
    return {"rate": len(seconds) / took, **percentiles}


if __name__ == "__main__":
    port, kind, clients, limit = sys.argv[1:]
    print(json.dumps(asyncio.run(run(int(port), kind, int(clients), float(limit)))))

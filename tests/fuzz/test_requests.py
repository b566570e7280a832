"""Requests byte by byte, as no client library sends them, to a function's own process."""

import socket
from collections.abc import Iterator
from email.parser import BytesHeaderParser

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Postgres, cloned
from tests.functions.support import leaks
from tests.functions.test_runtime import RUNTIME, of_function, running

METHODS = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW", "get"]

TARGETS = ["/", "/api/v1/services", "/api/v1/services/shop", "/api/v1/services/shop/traffic", "*"]

# Not the two that say how long a body is: a server rightly waits for what was promised.
HEADERS = [
    *("Accept", "Content-Type", "Content-Encoding", "Expect", "If-Match", "Idempotency-Key"),
    *("X-Request-Id", "Authorization", "Upgrade", "Range", "Forwarded", "X-Forwarded-Host"),
]

SAYINGS = [
    *("application/json", "application/merge-patch+json", "text/html", "*/*;q=0", "gzip", ""),
    *("100-continue", "identity", '"5"', "*", "websocket", "bytes=0-", "é", "a" * 9000, "Bearer"),
]

BODIES = [b"", b"{}", b"[]", b"null", b'{"name": "shop", "image": "x"}', b"\xff", b"[" * 5000]

# What a target or a header may carry; anything else is refused before a function sees it.
visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60)
fragments = visible | st.sampled_from(["%00", "%ff", "%0a", "%2f", "%zz", "..", "//", "?limit=-1"])
targets = st.builds(
    lambda path, more: path + "".join(more), st.sampled_from(TARGETS), st.lists(fragments)
)
headers = st.lists(
    st.tuples(st.sampled_from(HEADERS), st.sampled_from(SAYINGS) | visible), max_size=5
)
bodies = st.sampled_from(BODIES) | st.binary(max_size=100)


@pytest.fixture(scope="module")
def services(postgres: Postgres, template: str) -> Iterator[tuple[str, int]]:
    """Where a `services` listens, started as in a pod."""
    with cloned(postgres, template) as database:
        settings = of_function("services", database.api) | {"LOG_LEVEL": "error"}
        with running(RUNTIME, **settings) as client:
            yield client.base_url.host, int(client.base_url.port or 0)


def exchanged(address: tuple[str, int], sent: bytes) -> httpx.Response:
    """Send bytes and return the final answer; the connection ends with it."""
    with socket.create_connection(address, 20) as connection:
        connection.sendall(sent)
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = said.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    line, _, fields = head.partition(b"\r\n")
    parsed = BytesHeaderParser().parsebytes(fields)
    return httpx.Response(int(line.split()[1]), headers=list(parsed.items()), content=body)


@given(st.sampled_from(METHODS), targets, headers, bodies)
def test_any_request_has_an_answer_of_ours(
    services: tuple[str, int],
    method: str,
    target: str,
    headers: list[tuple[str, str]],
    body: bytes,
) -> None:
    length = [("Host", "localhost"), ("Connection", "close"), ("Content-Length", str(len(body)))]
    lines = [f"{method} {target} HTTP/1.1", *(f"{key}: {value}" for key, value in length + headers)]
    answer = exchanged(services, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    assert answer.status_code < 500, (lines, answer.text)
    assert not leaks(answer.text), (lines, answer.text)
    if answer.status_code >= 400 and method != "HEAD":
        # What is no HTTP (a caller in a proxy's place would be refused there) has no shape of ours.
        assert answer.text == "Invalid HTTP request received." or answer.json()["code"], lines

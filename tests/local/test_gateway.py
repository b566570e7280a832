"""Which request goes where, on the one port of the platform."""

import asyncio

import aiohttp
import pytest

from maxcloud_local.kinds import INGRESS
from tests.local.front import front

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("/api/v1/services", "services"),
        ("/api/v1/services/x?y=/api/v1/version", "services"),
        ("/api/v1/services/a%0Ab%0D%00%FF", "services"),
        ("/api/v1/servicesx", "services"),  # Kourier's prefixes are those of a text
        ("/api/v1/openapi.json", "health"),
        ("/healthz", "health"),
    ],
)
@pytest.mark.parametrize("host", ["localhost:PORT", "LocalHost", "localhost:1"])
async def test_the_longest_prefix_wins(path: str, function: str, host: str) -> None:
    async with front() as door:
        assert await door.ask(host, path) == (200, function)


@pytest.mark.parametrize(
    ("path", "accepted", "function"),
    [
        ("/api/v1/services/x/logs", ["text/event-stream"], "logs"),
        ("/api/v1/services/x/logs", ["text/event-stream, */*"], "services"),
        ("/api/v1/services/x/logs", ["text/event-stream", "*/*"], "services"),
        ("/api/v1/services/x/logs", ["TEXT/event-stream"], "services"),
        ("/api/v1/logs/x", ["text/event-stream"], "logs"),
        ("/api/v1/version", ["text/event-stream"], "health"),
    ],
)
async def test_a_header_that_fits_exactly_leads_elsewhere(
    path: str, accepted: list[str], function: str
) -> None:
    async with front() as door:
        headers = [("Host", "localhost"), *(("Accept", each) for each in accepted)]
        url = f"http://127.0.0.1:{door.port}{path}"
        async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as answer:
            assert await answer.text() == function


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1/", "/api/v2/services", "//healthz"])
async def test_an_unknown_path_wakes_nobody(path: str) -> None:
    async with front() as door:
        assert await door.ask("localhost:PORT", path) == (404, "")
        assert door.seen == []


async def test_a_function_that_is_missing_fails_alone() -> None:
    async with front(["health"]) as door:
        assert await door.ask("localhost:PORT", "/api/v1/services") == (404, "")
        assert await door.ask("localhost:PORT", "/healthz") == (200, "health")


async def test_the_function_hears_who_really_connected() -> None:
    async with front() as door:
        for sent in ({}, {"X-MaxCloud-Client": "10.9.9.9"}):
            await door.ask("localhost:PORT", "/api/v1/services", headers=sent)
        heard = [request.headers.getall("x-maxcloud-client") for _, request in door.seen]
        assert heard == [["127.0.0.1"], ["127.0.0.1"]]
        assert door.seen[0][1].headers["Host"] == f"localhost:{door.port}"


@pytest.mark.parametrize(
    ("method", "headers", "status", "code"),
    [
        ("POST", {"Origin": "http://evil.example"}, 403, "forbidden"),
        ("DELETE", {"Sec-Fetch-Site": "cross-site"}, 403, "forbidden"),
        ("POST", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ],
)
async def test_a_web_page_does_not_reach_the_api(
    method: str, headers: dict[str, str], status: int, code: str
) -> None:
    async with front() as door, aiohttp.ClientSession() as client:
        async with client.request(
            method,
            f"http://127.0.0.1:{door.port}/api/v1/services",
            headers={"Host": f"localhost:{door.port}", **headers},
            data=b"{}",
        ) as answer:
            said = await answer.json()
        assert (answer.status, said["code"]) == (status, code)
        assert set(said) == {"error", "code", "request_id"}
        assert answer.headers["X-Request-Id"] == said["request_id"]
        assert door.seen == []


async def test_the_apis_own_page_reaches_it() -> None:
    async with front() as door:
        origin = {"Origin": f"http://localhost:{door.port}", "Sec-Fetch-Site": "same-origin"}
        answer = await door.ask(
            "localhost:PORT", "/api/v1/services", "POST", headers=origin, json={}
        )
        assert answer == (200, "services")


async def test_an_ingress_says_that_it_is_ready() -> None:
    async with front() as door:
        [found] = door.world.store.all(INGRESS)
        said = {each["type"]: each["status"] for each in found["status"]["conditions"]}
        assert said["Ready"] == "True"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200"),
        (b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200"),
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"404"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA b: c\r\n\r\n", b"400"),
        (b"GET /healthz\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", b"4"),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"x" * 70_000), b"4"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n" % (b"x" * 70_000), b"4"),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
            % b"".join(b"X-%d: %s\r\n" % (n, b"x" * 10_000) for n in range(7)),
            b"431",
        ),
    ],
)
async def test_any_bytes(sent: bytes, status: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with front() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(sent)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        writer.close()
        await writer.wait_closed()
    assert answer.split()[1].startswith(status), answer
    assert b"Traceback" not in answer
    assert caplog.text == ""


async def test_a_connection_is_used_again() -> None:
    async with front() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        for _ in range(3):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await asyncio.wait_for(reader.readuntil(b"health"), 10)).startswith(
                b"HTTP/1.1 200"
            )
        writer.close()
        await writer.wait_closed()

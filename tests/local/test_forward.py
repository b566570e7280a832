"""What passes between a client and an instance, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from maxcloud_local.store import Object
from tests.local.door import MEGABYTE, door, raw_server
from tests.local.standins import until

pytestmark = pytest.mark.anyio


async def test_a_request_arrives_as_it_was_sent() -> None:
    seen: Object = {}

    async def take(request: web.Request) -> web.Response:
        seen["line"] = (request.method, request.raw_path)
        seen["headers"] = request.headers
        seen["body"] = await request.read()
        return web.Response(
            body=b"\x1f\x8bnot gzip", headers={"Content-Encoding": "gzip", "X-A": "1"}
        )

    async with door(take) as front:
        target = "/a/../b//c%2Fd/%C3%BC?x=%20+&y"
        answer = await front.client.patch(
            URL(str(front.url) + target, encoded=True),
            data=b"body",
            headers=[
                ("Host", "hello.localhost:8080"),
                ("Connection", "keep-alive, X-Secret"),
                ("X-Secret", "between us"),
                ("TE", "trailers"),
                ("Keep-Alive", "timeout=5"),
                ("X-Forwarded-For", "10.0.0.1"),
                ("X-Twice", "1"),
                ("X-Twice", "2"),
                ("Cookie", "a=b"),
            ],
            skip_auto_headers=["Accept", "User-Agent", "Content-Type", "Accept-Encoding"],
            auto_decompress=False,
        )
        content = await answer.read()
    assert seen["line"] == ("PATCH", target)
    assert seen["body"] == b"body"
    assert sorted((name, value) for name, value in seen["headers"].items()) == [
        ("Connection", "close"),
        ("Content-Length", "4"),
        ("Cookie", "a=b"),
        ("Host", "hello.localhost:8080"),
        ("X-Forwarded-For", "10.0.0.1, 127.0.0.1"),
        ("X-Forwarded-Host", "hello.localhost:8080"),
        ("X-Forwarded-Proto", "http"),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
    ]
    assert content == b"\x1f\x8bnot gzip"
    assert (answer.headers["Content-Encoding"], answer.headers["X-A"]) == ("gzip", "1")


@pytest.mark.parametrize("status", [204, 302, 304, 404, 500])
async def test_answers_come_back_as_they_are(status: int) -> None:
    async def take(_: web.Request) -> web.Response:
        headers = [("Location", "/x"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
        return web.Response(status=status, reason="Our Own", headers=CIMultiDict(headers))

    async with door(take) as front:
        answer = await front.client.get(front.url, allow_redirects=False)
        assert (answer.status, answer.reason) == (status, "Our Own")
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]


async def test_an_answer_without_a_type_stays_without() -> None:
    async def untyped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nServer: mine\r\nContent-Length: 2\r\n\r\nhi")
        await writer.drain()
        writer.close()

    async with raw_server(untyped) as address, door(address) as front:
        answer = await front.client.get(front.url)
        assert await answer.read() == b"hi"
        assert "Content-Type" not in answer.headers
        assert answer.headers["Server"] == "mine"


async def test_head_has_a_length_and_no_body() -> None:
    async def take(_: web.Request) -> web.Response:
        return web.Response(body=b"12345")

    async with door(take) as front:
        answer = await front.client.head(front.url)
        assert (answer.headers["Content-Length"], await answer.read()) == ("5", b"")


async def test_events_arrive_one_by_one() -> None:
    more = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for number in range(3):
            await answer.write(b"data: %d\n\n" % number)
            await more.wait()
            more.clear()
        return answer

    async with door(stream) as front, front.client.get(front.url) as answer:
        for number in range(3):
            # Only what was read lets the next one be written.
            assert await answer.content.readany() == b"data: %d\n\n" % number
            more.set()
        assert await answer.content.read() == b""


async def test_an_upload_is_not_kept() -> None:
    taken = 0

    async def take(request: web.Request) -> web.Response:
        nonlocal taken
        async for chunk in request.content.iter_any():
            taken += len(chunk)
        return web.Response(text=str(taken))

    def has_taken(megabytes: int) -> bool:
        return taken > megabytes * MEGABYTE

    async def body() -> AsyncIterator[bytes]:
        for sent in range(1, 21):
            yield bytes(MEGABYTE)
            # No more than sockets and readers hold is on the way.
            await until(partial(has_taken, sent - 6))

    async with door(take) as front:
        answer = await front.client.post(front.url, data=body())
        assert await answer.text() == str(20 * MEGABYTE)


async def test_who_goes_away_keeps_no_instance_awake() -> None:
    left = asyncio.Event()

    async def forever(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"x")
        try:
            await asyncio.sleep(60)
        finally:
            left.set()
        return answer

    async with door(forever) as front:
        async with front.client.get(front.url) as answer:
            await answer.content.readany()
        await asyncio.wait_for(left.wait(), 10)

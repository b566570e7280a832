"""What passes between a client and an instance, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from maxcloud_local.gateway.forward import as_it_came, passed_on
from maxcloud_local.serving.revisions import Revision
from maxcloud_local.store import Object
from tests.local.standins import until
from tests.local.world import Handler, World, nobody, world

pytestmark = pytest.mark.anyio

MEGABYTE = 1024 * 1024


class Door:
    """A client, and a server that forwards everything to one revision."""

    def __init__(self, client: aiohttp.ClientSession, here: World) -> None:
        self.client, self.world = client, here
        self.url = URL()


@asynccontextmanager
async def door(handler: Handler | str, **settings: Any) -> AsyncIterator[Door]:
    timeout = aiohttp.ClientTimeout(total=20)
    async with world() as here, aiohttp.ClientSession(timeout=timeout) as client:
        made = Door(client, here)
        if isinstance(handler, str):
            revision = await here.service_at("taker", handler, **settings)
        else:
            revision = await here.service("taker", handler, **settings)
        made.url = URL(f"http://127.0.0.1:{await here.serve(front(here, revision))}")
        yield made


def front(here: World, revision: Revision) -> web.AppRunner:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await here.forwarder.forward(request, revision, passed_on(request))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    app.on_response_prepare.append(as_it_came)
    return web.AppRunner(
        app, auto_decompress=False, handler_cancellation=True, shutdown_timeout=0.1
    )


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


async def test_no_answer_in_time() -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with door(slow, seconds=1) as front:
        answer = await front.client.get(front.url)
        assert answer.status == 504
        assert await answer.text() == "taker did not answer within 1 s\n"


async def test_an_answer_that_takes_too_long_is_cut() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"begun")
        await asyncio.sleep(60)
        return answer

    async with door(endless, seconds=1) as front:
        answer = await front.client.get(front.url)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_an_instance_that_ends_before_its_answer() -> None:
    async def die(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with door(die) as front:
        answer = await front.client.get(front.url)
        assert answer.status == 502
        assert "ended the connection" in await answer.text()


@pytest.mark.parametrize("headers", [{"Content-Length": "100"}, {}])
async def test_an_instance_that_ends_within_its_answer(headers: dict[str, str]) -> None:
    async def die(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers=headers)
        await answer.prepare(request)
        await answer.write(b"begun")
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return answer

    async with door(die) as front:
        answer = await front.client.get(front.url)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_another_instance_is_asked_when_one_has_died() -> None:
    async def take(request: web.Request) -> web.Response:
        return web.Response(text=await request.text())

    async with door(await nobody()) as front:
        # The revision does not know yet that its instance has gone.
        asking = asyncio.ensure_future(front.client.post(front.url, data=b"once"))
        await asyncio.sleep(0.01)
        await front.world.move("taker", take)
        answer = await asking
        assert (answer.status, await answer.text()) == (200, "once")


async def test_nobody_listens() -> None:
    async with door(await nobody()) as front:
        assert (await front.client.get(front.url)).status == 502


async def test_no_instance_can_start() -> None:
    async def never(_: web.Request) -> web.Response:
        return web.Response()

    async with door(never) as front:
        front.world.give_up("taker")
        answer = await front.client.get(front.url)
        assert answer.status == 503
        assert (await answer.text()).count("\n") == 1


async def test_what_is_no_http_is_an_instances_fault() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        await writer.drain()
        writer.close()

    async with raw_server(babble) as address, door(address) as front:
        assert (await front.client.get(front.url)).status == 502


async def chat(request: web.Request) -> web.WebSocketResponse:
    """Echo; a message that is a number ends the conversation with it."""
    socket = web.WebSocketResponse(protocols=["v2", "v1"], max_msg_size=0)
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        elif message.data.isdecimal():
            await socket.close(code=int(message.data), message=b"as you wish")
        elif message.data == "die":
            assert request.transport is not None
            request.transport.abort()
        else:
            await socket.send_str(message.data)
    ENDED.append((socket.close_code, request.headers.get("Origin")))
    return socket


ENDED: list[tuple[int | None, str | None]] = []


async def test_websockets() -> None:
    ENDED.clear()
    async with door(chat) as front:
        headers = {"Origin": "http://taker.localhost"}
        async with front.client.ws_connect(
            front.url, protocols=["v1", "v3"], headers=headers, max_msg_size=0
        ) as socket:
            assert socket.protocol == "v1"
            await socket.send_str("grüß dich")
            assert await socket.receive_str() == "grüß dich"
            await socket.send_bytes(bytes(5 * MEGABYTE))
            assert len(await socket.receive_bytes()) == 5 * MEGABYTE
            await socket.close(code=4001, message=b"enough")
            assert socket.close_code == 4001
        await until(lambda: ENDED == [(4001, "http://taker.localhost")])


async def test_an_instance_ends_a_websocket() -> None:
    async with door(chat) as front, front.client.ws_connect(front.url) as socket:
        await socket.send_str("1012")
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 1012, "as you wish")


async def test_a_websocket_whose_instance_dies_is_cut() -> None:
    async with door(chat) as front, front.client.ws_connect(front.url) as socket:
        await socket.send_str("die")
        message = await socket.receive()
        assert message.type in {WSMsgType.CLOSED, WSMsgType.ERROR}
        assert socket.close_code == 1006


async def test_a_websocket_has_the_revisions_time() -> None:
    async with door(chat, seconds=1) as front, front.client.ws_connect(front.url) as socket:
        message = await socket.receive()
        assert message.type in {WSMsgType.CLOSED, WSMsgType.ERROR}


async def test_an_instance_that_wants_no_websocket() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=403)

    async with door(refuse) as front:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await front.client.ws_connect(front.url)
        assert refused.value.status == 403


async def test_an_instance_that_does_not_know_websockets_answers_the_request() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"said": request.query["q"]})

    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    async with door(answer) as front:
        url = f"{front.url}?q=1"
        async with front.client.get(url, headers=upgrade | key) as said:
            assert (said.status, await said.json()) == (200, {"said": "1"})


@asynccontextmanager
async def raw_server(handle: Any) -> AsyncIterator[str]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"

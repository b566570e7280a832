"""What passes between a client and an instance over a WebSocket."""

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from tests.local.door import MEGABYTE, door
from tests.local.standins import until

pytestmark = pytest.mark.anyio


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

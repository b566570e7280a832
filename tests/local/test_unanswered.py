"""What a client hears when an instance gives no answer, or half of one."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from tests.local.door import door, raw_server
from tests.local.world import nobody

pytestmark = pytest.mark.anyio


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

"""A client, and what forwards all it asks to an instance, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from maxcloud_local.gateway.forward import as_it_came, passed_on
from maxcloud_local.serving.revisions import Revision
from tests.local.world import Handler, World, world

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


@asynccontextmanager
async def raw_server(handle: Any) -> AsyncIterator[str]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"

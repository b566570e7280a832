"""What stands before the instances, whole and real; the instances are a test's own servers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
from aiohttp import web

from maxcloud_local.gateway.forward import Forwarder
from maxcloud_local.happenings import Happening
from maxcloud_local.instances.instances import Instance
from maxcloud_local.kinds import SERVICE
from maxcloud_local.serving.revisions import Revision
from maxcloud_local.serving.serving import Serving
from maxcloud_local.store import Object, Store
from tests.local.standins import StandIn, until

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class World:
    """A store, Knative Serving over it, and the connections to its instances."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.store = Store()
        self.happenings: list[Happening] = []
        self.serving = Serving(
            self.store, self, self.happenings.append, lambda host: f"http://{host}.localhost"
        )
        self.forwarder = Forwarder()
        self._addresses: dict[str, str] = {}
        self._instances: dict[str, StandIn] = {}
        self._stack = stack

    def instance(self, revision: Object, on_change: Callable[[], None]) -> Instance:
        """Return an instance that is ready at once."""
        name = revision["metadata"]["labels"]["serving.knative.dev/service"]
        made = StandIn(revision["metadata"]["name"], on_change, ready=True)
        made.address = self._addresses[name]
        self._instances[name] = made
        return made

    async def serve(self, runner: web.AppRunner, at: socket.socket | None = None) -> int:
        """Serve on a port of loopback until the world ends, and return it."""
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, at or listening()).start()
        port: int = runner.addresses[0][1]
        return port

    async def service(self, name: str, handler: Handler, **settings: Any) -> Revision:
        """Add a Knative Service, answered by `handler`; return its revision once it is ready."""
        return await self.service_at(name, await self._serve_instance(handler), **settings)

    async def service_at(
        self,
        name: str,
        address: str,
        *,
        namespace: str = "default",
        inside: bool = False,
        seconds: int = 30,
        concurrency: int = 0,
        traffic: list[Object] | None = None,
    ) -> Revision:
        """Add a Knative Service whose instances are at this address."""
        self._addresses[name] = address
        labels = {"networking.knative.dev/visibility": "cluster-local"} if inside else {}
        spec: Object = {"containers": [{"image": "i"}], "timeoutSeconds": seconds}
        template = {"spec": {**spec, "containerConcurrency": concurrency}}
        self.store.create(
            SERVICE,
            {
                "apiVersion": "serving.knative.dev/v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": namespace, "labels": labels},
                "spec": {"template": template, "traffic": traffic or []},
            },
        )
        await until(lambda: self.serving.route(namespace, name) is not None)
        revision = self.serving.route(namespace, name)
        assert revision is not None
        return revision

    async def move(self, name: str, handler: Handler) -> None:
        """Let the service's instance die, as its launcher sees it, and another one come."""
        instance = self._instances[name]
        instance.fail("ExitCode1", "")
        instance.address = await self._serve_instance(handler)
        instance.become_ready()

    def give_up(self, name: str) -> None:
        """Let the service's instance crash for good."""
        self._instances[name].give_up("ExitCode1", "")

    def follow(self, *work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run what follows the store until the world ends."""
        for each in work:
            self._tasks.start_soon(each)

    async def _serve_instance(self, handler: Handler) -> str:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await handler(request)

        app = web.Application()
        app.router.add_route("*", r"/{path:[\s\S]*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        return f"127.0.0.1:{await self.serve(runner)}"

    async def begin(self) -> None:
        await self._stack.enter_async_context(self.forwarder)
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(self._tasks.cancel_scope.cancel)
        self._stack.push_async_callback(self.serving.stop)
        self.follow(self.serving.run)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        made = World(stack)
        await made.begin()
        yield made


def listening() -> socket.socket:
    """Return a socket on a free port of loopback."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


async def nobody() -> str:
    """Return an address of loopback where nobody listens."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    server.close()
    await server.wait_closed()
    return f"{host}:{port}"

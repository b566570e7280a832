"""The gateway, with functions and services of a test's own behind it."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from maxcloud_local.gateway.gateway import Gateway
from maxcloud_local.kinds import INGRESS
from tests.local.standins import until
from tests.local.world import World, listening, world

ROUTE = Path(__file__).parents[2] / "deploy" / "base" / "route.yaml"

FUNCTIONS = ("health", "logs", "services")


def ingress(host: str = "localhost") -> dict[str, Any]:
    """The platform's own, for a machine of one's own."""
    [found] = [
        each
        for each in yaml.safe_load_all(ROUTE.read_text(encoding="utf-8"))
        if each["kind"] == INGRESS.name
    ]
    found["spec"]["rules"][0]["hosts"] = [host]
    made: dict[str, Any] = found
    return made


class Front:
    """A gateway with the platform's route, some functions and the services of a test."""

    def __init__(self, here: World, client: aiohttp.ClientSession) -> None:
        self.world, self._client = here, client
        self.port = 0
        self.seen: list[tuple[str, web.Request]] = []

    async def ask(
        self, host: str, path: str = "/", method: str = "GET", **options: Any
    ) -> tuple[int, str]:
        headers = {"Host": host.replace("PORT", str(self.port)), **options.pop("headers", {})}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self._client.request(method, url, headers=headers, **options) as answer:
            return answer.status, await answer.text()

    async def service(self, name: str, **settings: Any) -> None:
        async def answer(request: web.Request) -> web.Response:
            self.seen.append((name, request))
            return web.Response(text=name)

        await self.world.service(name, answer, **settings)


@asynccontextmanager
async def front(
    functions: Iterable[str] = FUNCTIONS, registry: str | None = None
) -> AsyncIterator[Front]:
    async with world() as here, aiohttp.ClientSession() as client:
        made = Front(here, client)
        bound = listening()
        port = bound.getsockname()[1]
        served = Gateway(here.store, here.serving, here.forwarder, port, registry)
        made.port = await here.serve(served.runner(), bound)
        here.store.create(INGRESS, ingress())
        for name in functions:
            await made.service(name, namespace="mc-system", inside=True)
        here.follow(served.run)
        await until(lambda: "status" in here.store.all(INGRESS)[0])
        yield made

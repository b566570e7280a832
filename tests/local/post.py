"""A broker, who publishes to it, and subscribers that answer as a test says."""

import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import aiohttp
from aiohttp import web
from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent, from_http

from maxcloud_local.eventing.broker import Broker
from maxcloud_local.kinds import BROKER, TRIGGER
from maxcloud_local.store import Object
from tests.local.world import World, listening, world

EVENT = CloudEvent({"id": "7", "source": "/test", "type": "t", "orgid": "o"}, {"a": "ü"})


@dataclass
class Taker:
    """A subscriber that answers with these statuses in turn, the last one for ever."""

    statuses: list[int]
    said: bytes = b""
    taken: list[tuple[float, str, CloudEvent]] = field(default_factory=list)

    async def __call__(self, request: web.Request) -> web.Response:
        event = from_http(dict(request.headers), await request.read())
        self.taken.append((time.monotonic(), request.path, event))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status, body=self.said)

    @property
    def gaps(self) -> list[float]:
        times = [time for time, _, _ in self.taken]
        return [after - before for before, after in pairwise(times)]

    @property
    def events(self) -> list[CloudEvent]:
        return [event for _, _, event in self.taken]


class Post:
    """A Broker `main`, and a client that publishes."""

    def __init__(
        self, here: World, broker: Broker, client: aiohttp.ClientSession, url: str
    ) -> None:
        self.world, self.broker, self.client, self.url = here, broker, client, url

    def subscribe(self, name: str, **spec: Any) -> None:
        """Add a Trigger for a service of the same name."""
        self.world.store.create(
            TRIGGER,
            {
                "apiVersion": "eventing.knative.dev/v1",
                "kind": "Trigger",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"broker": "main", "subscriber": ksvc(name), **spec},
            },
        )

    async def publish(self, event: CloudEvent = EVENT, mode: Any = to_binary) -> int:
        headers, body = mode(event)
        return await self.post(headers, body)

    async def post(self, headers: Any, body: bytes = b"", path: str = "/default/main") -> int:
        async with self.client.post(
            self.url + path, headers=headers, data=io.BytesIO(body)
        ) as answer:
            return answer.status

    @property
    def happenings(self) -> list[tuple[str, str, str]]:
        return [(each.subject, each.what, each.detail) for each in self.world.happenings]


@asynccontextmanager
async def post() -> AsyncIterator[Post]:
    async with world() as here, aiohttp.ClientSession() as client:
        bound = listening()
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        served = Broker(here.store, here.serving, here.forwarder, url, here.happenings.append)
        await here.serve(web.AppRunner(served.app()), bound)
        here.follow(served.run)
        metadata = {"name": "main", "namespace": "default"}
        here.store.create(
            BROKER,
            {"apiVersion": BROKER.api_version, "kind": "Broker", "metadata": metadata, "spec": {}},
        )
        yield Post(here, served, client, url)
        await served.stop()


def ksvc(name: str, uri: str | None = None) -> Object:
    ref = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": name}
    return {"ref": ref, "uri": uri} if uri else {"ref": ref}

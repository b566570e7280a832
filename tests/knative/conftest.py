"""The cluster from inside: its API, database and broker, and our handlers in this process."""

import json
import os
import uuid
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.requests import Request

from maxcloud.calls import Call
from maxcloud.config import Config
from maxcloud.store.database import Database
from tests.cluster.backend import Cluster
from tests.cluster.environment import KUBECONFIG, kubectl
from tests.cluster.inside import address, database_url
from tests.conftest import dev_config
from tests.journeys import images
from tests.journeys.platform import Platform

# The Kubernetes client reads it when it is imported.
os.environ["KUBECONFIG"] = str(KUBECONFIG)


@pytest.fixture(scope="session")
def platform() -> Platform:
    return Platform(Cluster())


@pytest.fixture
def name(platform: Platform) -> Iterator[str]:
    name = f"k-{uuid.uuid4().hex[:8]}"
    yield name
    platform.maxcloud("delete", name, "--yes", code=None)


@pytest.fixture(scope="session")
def web(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """An image that answers at once: its reference and its digest."""
    archive = images.web(tmp_path_factory.mktemp("web") / "web.tar", page="version 1")
    reference = platform.backend.push(archive, "web")
    digest = Cluster().digest(reference)
    return reference, digest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def db() -> AsyncIterator[Database]:
    """The platform's database, as the workers have it."""
    database = Database(database_url("worker"))
    yield database
    await database.close()


@pytest.fixture(scope="session")
def config() -> Config:
    return dev_config()


def call_with(db: Database, config: Config) -> Call:
    """What a handler is given, without a broker to publish to."""
    scope = {"type": "http", "headers": [], "method": "POST", "path": "/"}
    return Call(Request(scope), config, db, "reconcile")


class Broker:
    """The platform's broker, which this machine reaches as pods do."""

    def __init__(self) -> None:
        self._url = f"http://{address('broker-ingress', 'knative-eventing')}"

    def publish(
        self,
        type: str,
        data: object,
        broker: str = "maxcloud",
        event_id: str | None = None,
        **extensions: str,
    ) -> str:
        """Publish an event and return its id; the broker must take it."""
        event_id = event_id or uuid.uuid4().hex
        headers = {"ce-specversion": "1.0", "ce-id": event_id, "ce-source": "/tests"}
        headers |= {"ce-type": type, "content-type": "application/json"}
        headers |= {f"ce-{name}": value for name, value in extensions.items()}
        with httpx.Client(timeout=30) as client:
            answer = client.post(f"{self._url}/mc-system/{broker}", headers=headers, json=data)
        assert answer.status_code == 202, answer.text
        return event_id


@pytest.fixture(scope="session")
def broker() -> Broker:
    return Broker()


def ksvc(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        kubectl("get", "ksvc", name, "-n", "default", "-o", "json")
    )
    return found

"""The function over a real Kubernetes API and a real database, with the service `shop`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from maxcloud.http import Api
from maxcloud.store.database import Database
from tests.conftest import TestDatabase, dev_config
from tests.functions.logs.instances import Client, Instances, serving
from tests.local.apiserver import ApiServer, running_api
from tests.store.support import created


@pytest.fixture
async def kubernetes(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with running_api(tmp_path) as running:
        yield running


@pytest.fixture
def instances(kubernetes: ApiServer) -> Instances:
    return Instances(kubernetes)


@pytest.fixture
async def db(database: TestDatabase) -> AsyncIterator[Database]:
    """The database as the API's role, with the service `shop`."""
    db = Database(database.api)
    await created(db)
    yield db
    await db.close()


@pytest.fixture
async def client(
    kubernetes: ApiServer, db: Database, apis: dict[str, Api], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    monkeypatch.setenv("KUBECONFIG", str(kubernetes.kubeconfig))
    app = apis["logs"].build(dev_config(), db)
    async with serving(app) as url, Client(base_url=url) as client:
        client.app = app
        yield client

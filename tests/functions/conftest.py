"""The functions over HTTP: in DEV_MODE, and as in production."""

from collections.abc import Iterator

import httpx
import pytest
from starlette.types import ASGIApp

from maxcloud.config import Config
from maxcloud.http import Api
from maxcloud.store.database import Database
from tests.conftest import PUBLIC, ByPath, Postgres, TestDatabase, cloned, dev_config, served

AWAY = "postgresql://mc_api@127.0.0.1:1/none"


def public(apis: dict[str, Api], config: Config, db: Database) -> ByPath:
    """Put the public functions behind one address."""
    apps: dict[str, ASGIApp] = {name: apis[name].build(config, db) for name in set(PUBLIC.values())}
    return ByPath(apps)


@pytest.fixture
def http(api: str) -> Iterator[httpx.Client]:
    """A client of the functions over a database of this test."""
    with httpx.Client(base_url=api) as client:
        yield client


@pytest.fixture(scope="session")
def untouched(postgres: Postgres, template: str) -> Iterator[TestDatabase]:
    """One database for all requests that leave no row behind."""
    with cloned(postgres, template) as database:
        yield database


@pytest.fixture(scope="session")
def shared_url(untouched: TestDatabase, apis: dict[str, Api]) -> Iterator[str]:
    db = Database(untouched.api)
    with served(public(apis, dev_config(), db), after=db.close) as url:
        yield url


@pytest.fixture(scope="session")
def shared(shared_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shared_url) as client:
        yield client


@pytest.fixture(scope="session")
def locked(apis: dict[str, Api]) -> Iterator[httpx.Client]:
    """The functions as in production: without DEV_MODE; there is no database."""
    config = dev_config(dev_mode=False, domain="maxcloud.dev")
    db = Database(AWAY)
    with (
        served(public(apis, config, db), after=db.close) as url,
        httpx.Client(base_url=url) as client,
    ):
        yield client

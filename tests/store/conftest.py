"""The store under its roles: as the API has it, as the workers have it, and a second tenant."""

from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import pytest

from maxcloud.store.database import Database
from tests.conftest import Postgres, TestDatabase, cloned
from tests.store.support import add_organisation


@pytest.fixture
async def db(database: TestDatabase, anyio_backend: str) -> AsyncIterator[Database]:
    """The database as mc_api."""
    opened = Database(database.api)
    yield opened
    await opened.close()


@pytest.fixture
async def worker(database: TestDatabase, anyio_backend: str) -> AsyncIterator[Database]:
    """The database as mc_worker."""
    opened = Database(database.worker)
    yield opened
    await opened.close()


@pytest.fixture
def other(database: TestDatabase) -> UUID:
    """Another organisation than DEV_MODE's."""
    return add_organisation(database.owner)


@pytest.fixture(scope="session")
def untouched(postgres: Postgres, template: str) -> Iterator[TestDatabase]:
    """One database for all tests that leave it as it was."""
    with cloned(postgres, template) as database:
        yield database

"""The running engine, for the tests that look at all of it, and its Kubernetes API alone."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.journeys.platform import Platform
from tests.local.apiserver import ApiServer, running_api
from tests.local.backend import Engine, engine


@pytest.fixture(scope="session")
def local_engine() -> Iterator[Engine]:
    """One engine for all of them, on which nothing else runs."""
    with engine() as started:
        yield started


@pytest.fixture
def platform(local_engine: Engine) -> Platform:
    return Platform(local_engine)


@pytest.fixture
def name(platform: Platform) -> Iterator[str]:
    """A service name of this test's own; what was deployed under it goes afterwards."""
    name = f"l-{uuid.uuid4().hex[:8]}"
    yield name
    platform.maxcloud("delete", name, "--yes", code=None)


@pytest.fixture
async def api(tmp_path: Path, anyio_backend: str) -> AsyncIterator[ApiServer]:
    """The Kubernetes API over a store of this test."""
    async with running_api(tmp_path) as api:
        yield api

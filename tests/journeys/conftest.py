import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.backend import Cluster
from tests.journeys import images
from tests.journeys.platform import Platform


@pytest.fixture(scope="session")
def platform() -> Platform:
    return Platform(Cluster())


@pytest.fixture
def name(platform: Platform, request: pytest.FixtureRequest) -> Iterator[str]:
    """A service name of this test's own; what was deployed under it goes afterwards."""
    name = f"j-{uuid.uuid4().hex[:8]}"
    yield name
    platform.maxcloud("delete", name, "--yes", code=None)


@pytest.fixture
def web(platform: Platform, name: str, tmp_path: Path) -> str:
    """The reference of a fresh image that answers "version 1" on the port it is told."""
    return platform.backend.push(images.web(tmp_path / "web.tar", page="version 1"), name)

import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from maxcloud_local import registry
from tests.cluster.backend import Cluster
from tests.journeys import images
from tests.journeys.platform import Deploying, Platform
from tests.journeys.private import Private
from tests.local.backend import engine


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    if request.config.getoption("--platform") == "cluster":
        yield Platform(Cluster())
    else:
        with engine() as started:
            yield Platform(started)


@pytest.fixture(scope="session", autouse=True)
def deaf(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploying]:
    """The deploy of a container that never listens: it fails at its deadline, after two minutes.

    So it goes on beside the others, and is looked at last.
    """
    name = f"j-{uuid.uuid4().hex[:8]}"
    command = ("/bin/sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait")
    archive = images.web(tmp_path_factory.mktemp("deaf") / "deaf.tar", page="", command=command)
    image = platform.backend.push(archive, name)
    with platform.start("deploy", image, "--name", name, "--port", "8080") as deploying:
        yield deploying
    platform.maxcloud("delete", name, "--yes", code=None)


@pytest.fixture(scope="session", autouse=True)
def kept(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a service that keeps two instances while all the others are looked at."""
    name = f"j-{uuid.uuid4().hex[:8]}"
    archive = images.web(tmp_path_factory.mktemp("kept") / "kept.tar", page="kept")
    image = platform.backend.push(archive, name)
    platform.maxcloud("deploy", image, "--name", name, "--min", "2")
    yield name
    platform.maxcloud("delete", name, "--yes", code=None)


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


@pytest.fixture(scope="session")
def private(platform: Platform, request: pytest.FixtureRequest) -> Private:
    """The platform's private registry, where it has one."""
    on_cluster = request.config.getoption("--platform") == "cluster"
    if not on_cluster and registry.find() is None:
        pytest.skip("Distribution is not on this machine: make registry")
    return Private(f"registry.localhost:{urlsplit(platform.backend.api_url).port}", "127.0.0.1")

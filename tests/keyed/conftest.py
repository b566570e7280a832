from collections.abc import Iterator

import pytest

from tests.keyed.platform import Keyed, keyed_cluster, keyed_engine


@pytest.fixture(scope="session")
def keyed(request: pytest.FixtureRequest) -> Iterator[Keyed]:
    on_cluster = request.config.getoption("--platform") == "cluster"
    with keyed_cluster() if on_cluster else keyed_engine() as running:
        yield running


@pytest.fixture(scope="session")
def on_the_cluster(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--platform") != "cluster":
        pytest.skip("needs Kubernetes: make test-cluster")

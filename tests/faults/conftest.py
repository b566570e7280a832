"""Where faults happen: on an engine of their own, or on the cluster that runs."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.faults.cluster import Cluster
from tests.faults.local import Local
from tests.faults.report import Report
from tests.faults.target import Backend, Target
from tests.local.backend import engine

TOOK = pytest.StashKey[list[tuple[str, float]]]()


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    """Write down how long something took; all of it is printed at the end."""
    took = request.config.stash[TOOK] = []
    return lambda what, seconds: took.append((what, seconds))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for what, seconds in config.stash.get(TOOK, []):
        terminalreporter.write_line(f"{seconds:6.1f} s until all agreed: {what}")


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.config.getoption("--platform") == "cluster":
        with closing(Cluster()) as cluster:
            yield cluster
    else:
        with engine() as started:
            yield Local(started)


@pytest.fixture(scope="session")
def target(backend: Backend) -> Iterator[Target]:
    """The platform with one journal for all tests: nothing of it may ever turn out untrue."""
    with closing(Target(backend)) as opened:
        yield opened

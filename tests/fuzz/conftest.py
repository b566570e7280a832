"""The platform that is fuzzed: the local engine, on which what is deployed fails at once."""

from collections.abc import Iterator

import pytest

from tests.fuzz import profiles
from tests.local.backend import Engine, engine

# The engine answers for this host's images, and has one that is not asked for: nothing is looked
# up outside, and no instance starts.
NO_IMAGE = "maxcloud.local/nothing"

# Names that generated requests meet again.
NAMES = ("fuzz-a", "fuzz-b", "fuzz-c")


def pytest_configure(config: pytest.Config) -> None:
    profiles.load(config)


@pytest.fixture(scope="session")
def fuzzed() -> Iterator[Engine]:
    """An engine of which nobody else wants anything."""
    with engine() as started:
        yield started

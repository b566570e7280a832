"""A real registry that asks nobody who they are."""

from collections.abc import Iterator

import pytest

from tests.distribution import Distribution, distribution


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distribution]:
    with distribution(tmp_path_factory.mktemp("registry")) as running:
        yield running

"""An image that is built for these tests, and instances of it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.journeys import images
from tests.local.containers.machine import OWNER, containers, engine
from tests.local.nursery import Nursery, nursery


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of these tests' own, as a build leaves it: localhost/….

    It answers "version …" and shows its environment at /cgi-bin/env.
    """
    archive = tmp_path_factory.mktemp("image") / "web.tar"
    images.web(archive, page=f"version {OWNER}")
    loaded = engine("load", "--input", str(archive)).rpartition(" ")[2]
    reference = f"localhost/maxcloud-tests/{OWNER}"
    engine("tag", loaded, reference)
    yield reference
    engine("rmi", reference)
    assert containers() == []


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Nursery]:
    async with nursery(tmp_path, OWNER) as made:
        yield made
    assert containers() == []

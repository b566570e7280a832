"""What the measurements share: where their sections go, and the rows they read."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from maxcloud.store.database import Database
from tests.bench import report
from tests.bench.report import Section
from tests.conftest import Postgres, TestDatabase, cloned
from tests.local.backend import Engine, engine
from tests.store.support import created

# As many services as an organisation has that is doing well.
SERVICES = 20


@pytest.fixture(scope="session")
def show() -> Iterator[Callable[[Section], None]]:
    """Print a section, and keep it for docs/performance.md."""
    kept: list[Section] = []

    def keep(section: Section) -> None:
        kept.append(section)
        print(f"\n\n{section.markdown()}")

    yield keep
    report.write(kept)


@pytest.fixture(scope="session")
def rows(postgres: Postgres, template: str) -> Iterator[TestDatabase]:
    """A database with the services of one organisation."""
    with cloned(postgres, template) as database:
        asyncio.run(_fill(database))
        yield database


async def _fill(database: TestDatabase) -> None:
    db = Database(database.api)
    for number in range(SERVICES):
        await created(db, f"shop-{number:02}", env_vars={"GREETING": "hello", "LEVEL": "debug"})
    await db.close()


@pytest.fixture(scope="session")
def awake() -> Iterator[Engine]:
    """An engine that nothing falls asleep on."""
    with engine() as started:
        started.sleep_after(3600)
        yield started

"""What a merge patch makes of a row (role mc_api)."""

from typing import Any

import pytest

from maxcloud.errors import InvalidField
from maxcloud.fields import ENV_KEYS_MAX
from maxcloud.store import convergence
from maxcloud.store.database import Database
from maxcloud.store.services import ServiceRow
from tests.store.support import DIGEST, created, loaded, patched

pytestmark = pytest.mark.anyio

STORED: dict[str, Any] = {
    "port": 80,
    "command": ["/bin/sh"],
    "args": ["-c", "serve"],
    "env_vars": {"A": "1", "B": "2"},
    "min_scale": 1,
    "max_scale": 3,
    "concurrency": 10,
    "cpu": "250m",
    "memory": "1Gi",
    "timeout_seconds": 60,
}


@pytest.fixture
async def stored(db: Database) -> ServiceRow:
    """A service with nothing at its default, its image resolved."""
    row = await created(db, **STORED)
    resolved = await convergence.image_resolved(db, row, DIGEST, 3000)
    assert resolved is not None
    return resolved


@pytest.mark.parametrize(
    ("patch", "changed"),
    [
        ({"port": 81}, {"port": 81}),
        ({"port": None}, {"port": 0}),
        ({"command": None, "args": None}, {"command": [], "args": []}),
        ({"command": ["/bin/true"]}, {"command": ["/bin/true"]}),
        ({"args": []}, {"args": []}),
        ({"env_vars": {"C": "3"}}, {"env_vars": {"A": "1", "B": "2", "C": "3"}}),
        ({"env_vars": {"A": "9"}}, {"env_vars": {"A": "9", "B": "2"}}),
        ({"env_vars": {"A": None}}, {"env_vars": {"B": "2"}}),
        ({"env_vars": {"A": None, "Z": None, "C": ""}}, {"env_vars": {"B": "2", "C": ""}}),
        ({"env_vars": None}, {"env_vars": {}}),
        ({"min_scale": None}, {"min_scale": 0}),
        ({"max_scale": None}, {"max_scale": 10}),
        ({"min_scale": 4, "max_scale": 4}, {"min_scale": 4, "max_scale": 4}),
        ({"concurrency": None}, {"concurrency": 80}),
        ({"concurrency": 0}, {"concurrency": 0}),
        ({"cpu": None, "memory": None}, {"cpu": "1", "memory": "512Mi"}),
        ({"timeout_seconds": None}, {"timeout_seconds": 300}),
    ],
)
async def test_what_is_sent_changes_and_the_rest_stays(
    db: Database, stored: ServiceRow, patch: dict[str, Any], changed: dict[str, Any]
) -> None:
    row = await patched(db, **patch)
    assert row.settings.model_dump() == STORED | changed
    assert (row.generation, row.status, row.observed_generation) == (2, "pending", 0)
    assert (row.image, row.digest, row.exposed_port) == ("nginx:1.29", DIGEST, 3000)


@pytest.mark.parametrize(
    "patch",
    [
        {},
        {"port": 80},
        {"env_vars": {}},
        {"env_vars": {"A": "1", "Z": None}},
        {"command": ["/bin/sh"], "cpu": "250m"},
    ],
)
async def test_a_patch_that_changes_nothing_makes_no_generation(
    db: Database, stored: ServiceRow, patch: dict[str, Any]
) -> None:
    assert await patched(db, **patch) == stored
    assert await loaded(db, stored) == stored


async def test_an_image_that_is_sent_is_resolved_again(db: Database, stored: ServiceRow) -> None:
    row = await patched(db, image=stored.image)
    assert (row.generation, row.image) == (2, stored.image)
    assert (row.digest, row.exposed_port) == (None, None)
    assert row.settings == stored.settings


async def test_an_image_that_is_not_sent_keeps_its_digest_even_without_an_exposed_port(
    db: Database,
) -> None:
    row = await created(db)
    await convergence.image_resolved(db, row, DIGEST, None)
    assert (await patched(db, cpu="2")).digest == DIGEST


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"min_scale": 4}, "min_scale"),
        ({"max_scale": None, "min_scale": 11}, "min_scale"),
        ({"env_vars": {f"K{n}": "" for n in range(ENV_KEYS_MAX - 1)}}, "env_vars"),
        ({"env_vars": {"C": "x" * (32 * 1024 - 1)}}, "env_vars"),
    ],
)
async def test_a_rule_that_only_the_merged_whole_breaks_is_refused(
    db: Database, stored: ServiceRow, patch: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        await patched(db, **patch)
    assert refused.value.field == field
    assert await loaded(db, stored) == stored

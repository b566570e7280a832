"""Which revision a generation runs as."""

import asyncio

import pytest

from maxcloud.config import DEV_ORG_ID
from maxcloud.store import convergence, revisions
from maxcloud.store.database import Database
from maxcloud.store.revisions import RevisionRow
from maxcloud.store.services import ServiceRow
from tests.store.support import ANOTHER_DIGEST, DIGEST, created, deleting, patched

pytestmark = pytest.mark.anyio


async def resolved(db: Database, row: ServiceRow, digest: str = DIGEST) -> ServiceRow:
    found = await convergence.image_resolved(db, row, digest, None)
    assert found is not None
    return found


async def choose(db: Database, row: ServiceRow) -> RevisionRow:
    chosen = await chosen_or_none(db, row)
    assert chosen is not None
    return chosen


async def chosen_or_none(db: Database, row: ServiceRow) -> RevisionRow | None:
    return await revisions.choose(db, row, row.template(f"docker.io/library/nginx@{row.digest}"))


async def test_the_first_generation_gets_a_revision_of_its_number(
    db: Database, worker: Database
) -> None:
    row = await resolved(worker, await created(db, env_vars={"A": "1"}))
    revision = await choose(worker, row)
    assert (revision.name, revision.generation, revision.created_by) == ("shop-00001", 1, "test")
    assert (revision.image, revision.digest) == ("nginx:1.29", DIGEST)
    assert revision.template == {
        "image": f"docker.io/library/nginx@{DIGEST}",
        "port": 8080,
        "command": [],
        "args": [],
        "env_vars": {"A": "1"},
        "min_scale": 0,
        "max_scale": 10,
        "concurrency": 80,
        "cpu": "1",
        "memory": "512Mi",
        "timeout_seconds": 300,
    }


async def test_the_same_template_is_the_same_revision(db: Database, worker: Database) -> None:
    first = await choose(worker, await resolved(worker, await created(db)))
    again = await resolved(worker, await patched(db, image="nginx:1.29"))
    assert again.generation == 2
    assert await choose(worker, again) == first
    same_port = await patched(db, port=8080)
    assert await choose(worker, same_port) == first


async def test_a_new_digest_or_setting_is_a_new_revision(db: Database, worker: Database) -> None:
    await choose(worker, await resolved(worker, await created(db)))
    moved = await resolved(worker, await patched(db, image="nginx:1.29"), ANOTHER_DIGEST)
    assert (await choose(worker, moved)).name == "shop-00002"
    assert (await choose(worker, await patched(db, cpu="2"))).name == "shop-00003"
    back = await resolved(worker, await patched(db, image="nginx:1.29", cpu="1"))
    assert (await choose(worker, back)).name == "shop-00004"
    found = await revisions.of_service(db, DEV_ORG_ID, back.id)
    assert [revision.generation for revision in found] == [4, 3, 2, 1]


async def test_handlers_of_one_generation_at_once_get_one_revision(
    db: Database, worker: Database
) -> None:
    row = await resolved(worker, await created(db))
    chosen = await asyncio.gather(*[choose(worker, row) for _ in range(5)])
    assert len({revision.id for revision in chosen}) == 1
    assert len(await revisions.of_service(db, DEV_ORG_ID, row.id)) == 1


async def test_a_late_handler_of_an_older_generation_takes_nothing_from_the_newer(
    db: Database, worker: Database
) -> None:
    old = await resolved(worker, await created(db))
    new = await patched(db, cpu="2")
    newer = await choose(worker, new)
    assert await chosen_or_none(worker, old) is None
    assert await convergence.revision_chosen(worker, old, "shop-00001") is None
    assert await choose(worker, new) == newer
    assert await revisions.of_service(db, DEV_ORG_ID, old.id) == [newer]


async def test_revision_names_never_come_twice(db: Database, worker: Database) -> None:
    names = []
    for _ in range(2):
        row = await resolved(worker, await created(db))
        names.append((await choose(worker, row)).name)
        await convergence.remove(worker, await deleting(db))
    assert names == ["shop-00001", "shop-00003"]


async def test_a_revision_is_ready_since_the_first_time_that_it_was(
    db: Database, worker: Database
) -> None:
    row = await resolved(worker, await created(db))
    made = await choose(worker, row)
    assert made.ready_at is None
    await revisions.became_ready(worker, row, made.name)
    first = await revisions.newest(worker, row)
    await revisions.became_ready(worker, row, made.name)
    assert first is not None
    assert first.ready_at is not None
    assert await revisions.newest(worker, row) == first
    shown = first.public(traffic=40)
    assert (shown.name, shown.traffic, shown.ready_at) == ("shop-00001", 40, first.ready_at)


async def test_a_port_that_an_image_exposes_is_used_when_none_is_chosen(
    db: Database, worker: Database
) -> None:
    row = await created(db)
    exposed = await convergence.image_resolved(worker, row, DIGEST, 3000)
    assert exposed is not None
    assert exposed.template("x").port == 3000
    assert (await patched(db, port=81)).template("x").port == 81


async def test_of_a_service_that_is_gone_there_is_no_revision(
    db: Database, worker: Database
) -> None:
    late = await resolved(worker, await created(db))
    assert await convergence.remove(worker, await deleting(db))
    assert await chosen_or_none(worker, late) is None

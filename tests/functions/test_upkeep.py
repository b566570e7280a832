"""What an operator asks of the database, and how a dead letter is said again."""

import json
import subprocess
import sys
from uuid import uuid4

import psycopg
import pytest
from cloudevents.conversion import to_binary

from maxcloud import upkeep
from maxcloud.config import DEV_ORG_ID
from maxcloud.events import Event
from maxcloud.store import sweeps
from maxcloud.store.database import Database
from maxcloud.store.dead_letters import DeadLetter, keep, newest
from tests.conftest import TestDatabase

pytestmark = pytest.mark.anyio


def letter(event_id: str = "1") -> DeadLetter:
    return DeadLetter(
        event_id=event_id,
        source="/maxcloud/services",
        type="dev.maxcloud.deploy-requested",
        subject="a",
        destination="http://reconcile",
        code=400,
        headers={"orgid": "b", "knativeerrorcode": "400", "datacontenttype": "application/json"},
        body='{"id": "a"}',
    )


async def test_a_report_says_how_far_the_rows_are(database: TestDatabase) -> None:
    db = Database(database.worker)
    assert (await upkeep.report(db))["last_sweep"] is None
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute("select set_config('app.org', %s, false)", [str(DEV_ORG_ID)])
        for name, status, observed in (("shop", "pending", 0), ("done", "ready", 1)):
            owner.execute(
                "insert into services (org_id, name, image, status, observed_generation)"
                " values (%s, %s, 'nginx', %s, %s)",
                [DEV_ORG_ID, name, status, observed],
            )
    await keep(db, letter())
    await sweeps.ended(db)
    await sweeps.ended(db)
    said = await upkeep.report(db)
    await db.close()
    assert said["last_sweep"] is not None
    assert len(said["services"]) == 2
    assert [each["name"] for each in said["waiting"]] == ["shop"]
    assert said["dead_letter_count"] == 1
    assert said["dead_letters"][0]["code"] == 400


async def test_what_the_broker_does_not_take_stays_a_dead_letter(database: TestDatabase) -> None:
    db = Database(database.worker)
    await keep(db, letter())
    [kept] = await newest(db, 10)
    assert await upkeep.replay(db, "http://127.0.0.1:1", [kept.id, uuid4()]) == {"done": []}
    assert len(await newest(db, 10)) == 1
    await db.close()


def test_a_dead_letter_is_said_again_as_it_was() -> None:
    kept = letter()
    event = upkeep.event_of(kept)
    again = Event.parse(*to_binary(event))
    assert (again.id, again.source, again.type, again.subject) == (
        kept.event_id,
        kept.source,
        kept.type,
        kept.subject,
    )
    assert again.data == {"id": "a"}
    assert {k: v for k, v in again.extensions.items() if k != "datacontenttype"} == {"orgid": "b"}


async def test_as_a_program_it_prints_one_line(database: TestDatabase) -> None:
    db = Database(database.worker)
    await keep(db, letter())
    [kept] = await newest(db, 10)
    await db.close()
    assert run(database, "drop", str(kept.id)) == {"done": [str(kept.id)]}
    assert run(database, "report")["dead_letters"] == []


@pytest.mark.parametrize(
    "words",
    [[], ["drop"], ["drop", "x"], ["report", "all"], ["adopt", "mc_x"], ["adopt", "mc_x", "no"]],
)
def test_words_that_say_nothing_are_refused_in_one_sentence(
    untouched: TestDatabase, words: list[str]
) -> None:
    done = program(untouched, *words)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def run(database: TestDatabase, *words: str) -> dict[str, object]:
    done = program(database, *words)
    assert done.stderr == ""
    said: dict[str, object] = json.loads(done.stdout)
    return said


def program(database: TestDatabase, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "maxcloud.upkeep", *words]
    env = {"DATABASE_URL": database.worker}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

"""What was answered to a key, and for how long (roles mc_api and mc_worker)."""

from uuid import UUID

import pytest

from maxcloud.config import DEV_ORG_ID
from maxcloud.store import idempotency
from maxcloud.store.database import Database
from maxcloud.store.idempotency import Answer, Key
from tests.conftest import TestDatabase
from tests.store.support import execute

pytestmark = pytest.mark.anyio

KEY = Key(DEV_ORG_ID, "POST /things", "mine")
ANSWER = Answer(b"digest", 201, {"etag": '"1"'}, b"{}\x00\xff")
EXPIRE = "update idempotency_keys set expires_at = now() where key <> 'mine'"


async def test_an_answer_is_found_under_its_key_alone(db: Database, other: UUID) -> None:
    assert await idempotency.wait_for_turn(db, KEY) is None
    await idempotency.keep(db, KEY, ANSWER)
    assert await idempotency.wait_for_turn(db, KEY) == ANSWER
    for another in (
        Key(DEV_ORG_ID, "POST /things", "Mine"),
        Key(DEV_ORG_ID, "POST /others", "mine"),
        Key(other, "POST /things", "mine"),
    ):
        assert await idempotency.wait_for_turn(db, another) is None


async def test_one_that_has_expired_is_not_found_and_makes_room(
    database: TestDatabase, db: Database
) -> None:
    old = Key(DEV_ORG_ID, "POST /things", "old")
    await idempotency.keep(db, old, ANSWER)
    execute(database.owner, EXPIRE)
    assert await idempotency.wait_for_turn(db, old) is None
    newer = Answer(b"another", 204, {}, None)
    await idempotency.keep(db, old, newer)
    assert await idempotency.wait_for_turn(db, old) == newer


async def test_a_sweep_forgets_so_many_of_what_has_expired(
    database: TestDatabase, db: Database, worker: Database, other: UUID
) -> None:
    for number in range(5):
        for org_id in (DEV_ORG_ID, other):
            await idempotency.keep(db, Key(org_id, "POST /things", f"old-{number}"), ANSWER)
    await idempotency.keep(db, KEY, ANSWER)
    execute(database.owner, EXPIRE)
    assert await idempotency.forget_expired_across_tenants(db, 100) == 0
    forgotten = [await idempotency.forget_expired_across_tenants(worker, 4) for _ in range(4)]
    assert forgotten == [4, 4, 2, 0]
    assert await idempotency.wait_for_turn(db, KEY) == ANSWER

"""Idempotency-Key: of requests at the same time, and of a process that dies, one is done."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psycopg
import pytest

from maxcloud.config import DEV_ORG_ID
from maxcloud.http import Api
from maxcloud.store.database import CONNECT_SECONDS, Database, statements
from tests.conftest import TestDatabase, dev_config, served
from tests.functions.conftest import public
from tests.functions.repeated import KEPT, KEY, SERVICES_MADE, same
from tests.functions.support import SERVICES, SHOP, assert_refusal
from tests.functions.test_runtime import RUNTIME, environment, of_function, wait_for
from tests.ports import free_port
from tests.store.support import execute


@pytest.mark.anyio
async def test_twenty_at_once_make_one_service_whichever_instance_they_meet(
    api: str, apis: dict[str, Api], database: TestDatabase
) -> None:
    """More than a pool has connections; half of them at a second instance of the function."""
    other = Database(database.api)
    with served(public(apis, dev_config(), other), after=other.close) as second:
        async with httpx.AsyncClient(timeout=30) as http:
            answers = await asyncio.gather(
                *[
                    http.post((api, second)[number % 2] + SERVICES, json=SHOP, headers=KEY)
                    for number in range(20)
                ]
            )
    [first] = [each for each in answers if "idempotent-replayed" not in each.headers]
    assert first.status_code == 201
    for again in answers:
        if again is not first:
            same(first, again)
    assert execute(database.owner, SERVICES_MADE) == [(1,)]
    assert execute(database.owner, KEPT) == [(1,)]


@pytest.mark.anyio
async def test_of_twenty_at_once_with_two_bodies_one_is_carried_out(
    api: str, database: TestDatabase
) -> None:
    async with httpx.AsyncClient(base_url=api, timeout=30) as http:
        answers = await asyncio.gather(
            *[
                http.post(SERVICES, json=SHOP | {"port": 80 + number % 2}, headers=KEY)
                for number in range(20)
            ]
        )
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 10
    assert execute(database.owner, SERVICES_MADE) == [(1,)]


@pytest.mark.anyio
async def test_keys_of_their_own_do_not_wait_for_each_other(api: str) -> None:
    async with httpx.AsyncClient(base_url=api, timeout=30) as http:
        answers = await asyncio.gather(
            *[
                http.post(SERVICES, json=SHOP, headers={"Idempotency-Key": str(number)})
                for number in range(40)
            ]
        )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 39


@contextmanager
def full(database: TestDatabase) -> Iterator[psycopg.Connection]:
    """Let nobody keep an answer: a request stops when its work is done and not yet committed."""
    with psycopg.connect(database.owner) as connection:
        connection.execute("lock table idempotency_keys in share mode")
        yield connection


def wait_until_waiting(database: TestDatabase, kind: str) -> None:
    """Return when a request waits for a lock of this kind."""
    query = "select count(*) > 0 from pg_locks where not granted and locktype = %s"
    end = time.monotonic() + 10
    while execute(database.owner, query, kind) != [(True,)]:
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def process(database: TestDatabase) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The function in a process of its own, with its base URL."""
    port = free_port()
    settings = of_function("services", database.api) | {"PORT": str(port)}
    with subprocess.Popen(
        RUNTIME, env=environment(**settings), stdout=subprocess.DEVNULL, text=True
    ) as started:
        try:
            wait_for(started, port)
            yield started, f"http://127.0.0.1:{port}"
        finally:
            started.kill()


def test_when_its_process_dies_a_request_leaves_neither_work_nor_key(
    http: httpx.Client, database: TestDatabase
) -> None:
    """One process is killed in the middle of it, while another one waits for its turn."""
    with process(database) as (dying, url), ThreadPoolExecutor() as pool:
        with full(database) as holder:
            lost = pool.submit(httpx.post, url + SERVICES, json=SHOP, headers=KEY)
            wait_until_waiting(database, "relation")
            waiting = pool.submit(http.post, SERVICES, json=SHOP, headers=KEY)
            wait_until_waiting(database, "advisory")
            dying.kill()
            with pytest.raises(httpx.TransportError):
                lost.result()
            holder.rollback()
        answer = waiting.result()
    assert answer.status_code == 201
    assert "idempotent-replayed" not in answer.headers
    assert execute(database.owner, SERVICES_MADE) == [(1,)]
    same(answer, http.post(SERVICES, json=SHOP, headers=KEY))


def test_who_waits_too_long_is_told_to_come_again(
    http: httpx.Client, database: TestDatabase
) -> None:
    key = {"org_id": DEV_ORG_ID, "route": f"POST {SERVICES}", "key": KEY["Idempotency-Key"]}
    with psycopg.connect(database.owner) as running:
        running.execute(statements("idempotency")["wait_for_turn"].encode(), key)
        refused = http.post(SERVICES, json=SHOP, headers=KEY, timeout=CONNECT_SECONDS * 3)
    assert "try again" in assert_refusal(refused, "unavailable")
    assert refused.headers["retry-after"] == "1"
    assert http.post(SERVICES, json=SHOP, headers=KEY).status_code == 201

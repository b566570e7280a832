"""Idempotency-Key: what is sent again is not done again."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from maxcloud.calls import Call
from maxcloud.client import Client
from maxcloud.config import DEV_ORG_ID
from maxcloud.errors import NameTaken
from maxcloud.http import Api
from maxcloud.models import DeployRequest, Service
from maxcloud.roles import Role
from maxcloud.store import services
from maxcloud.store.database import CONNECT_SECONDS, Database, statements
from tests.conftest import FUNCTIONS, TestDatabase, dev_config, served
from tests.functions.conftest import public
from tests.functions.support import SERVICES, SHOP, assert_refusal
from tests.functions.test_runtime import RUNTIME, environment, wait_for
from tests.ports import free_port
from tests.store.support import add_organisation, execute, wanted

KEY = {"Idempotency-Key": "0b3c2c6e-made-by-the-caller"}
JSON = {"Content-Type": "application/json"}
KEPT = "select count(*) from idempotency_keys"
SERVICES_MADE = "select count(*) from services"


def same(first: httpx.Response, again: httpx.Response) -> None:
    """Check that an answer is the one that was given before."""
    assert (again.status_code, again.content) == (first.status_code, first.content)
    own = {"date", "x-request-id", "idempotent-replayed"}
    first_headers = {k: v for k, v in first.headers.items() if k not in own}
    assert {k: v for k, v in again.headers.items() if k not in own} == first_headers
    assert again.headers["idempotent-replayed"] == "true"


def test_the_same_key_twice_makes_one_service(http: httpx.Client, database: TestDatabase) -> None:
    first = http.post(SERVICES, json=SHOP, headers=KEY)
    assert first.status_code == 201
    assert "idempotent-replayed" not in first.headers
    again = http.post(SERVICES, json=SHOP, headers=KEY | {"X-Request-Id": "second"})
    same(first, again)
    assert (again.headers["etag"], again.headers["x-request-id"]) == ('"1"', "second")
    assert execute(database.owner, SERVICES_MADE) == [(1,)]


def test_the_answer_stays_whatever_becomes_of_the_service(http: httpx.Client) -> None:
    first = http.post(SERVICES, json=SHOP, headers=KEY)
    http.patch(f"{SERVICES}/shop", json={"port": 80})
    same(first, http.post(SERVICES, json=SHOP, headers=KEY))
    http.delete(f"{SERVICES}/shop")
    same(first, http.post(SERVICES, json=SHOP, headers=KEY))


def test_the_same_body_may_be_written_in_another_way(http: httpx.Client) -> None:
    first = http.post(SERVICES, content='{"name":"shop","image":"nginx:1.29"}', headers=JSON | KEY)
    again = '{ "image": "nginx:1.29",\n "name": "shop" }'
    same(first, http.post(SERVICES, content=again, headers=JSON | KEY))


@pytest.mark.parametrize("change", [{"port": 80}, {"port": 0}, {"name": "blog"}])
def test_a_key_of_another_body_is_refused(http: httpx.Client, change: dict[str, Any]) -> None:
    made = http.post(SERVICES, json=SHOP, headers=KEY).json()
    refused = http.post(SERVICES, json=SHOP | change, headers=KEY)
    said = assert_refusal(refused, "idempotency_key_reused", "Idempotency-Key")
    assert "new one" in said
    assert http.get(SERVICES).json() == [made]


def test_without_a_key_nothing_is_kept(http: httpx.Client, database: TestDatabase) -> None:
    assert http.post(SERVICES, json=SHOP).status_code == 201
    assert_refusal(http.post(SERVICES, json=SHOP), "name_taken", "name")
    # A PATCH and a DELETE may be sent twice as they are.
    http.patch(f"{SERVICES}/shop", json={"port": 1}, headers=KEY)
    http.delete(f"{SERVICES}/shop", headers=KEY)
    assert execute(database.owner, KEPT) == [(0,)]


def test_a_refusal_is_not_kept(http: httpx.Client, database: TestDatabase) -> None:
    """It changed nothing: what is mended may be sent again with the same key."""
    assert_refusal(
        http.post(SERVICES, json={"name": "shop"}, headers=KEY), "invalid_field", "image"
    )
    execute(
        database.owner,
        "insert into services (org_id, name, image) values (%s, 'shop', 'x')",
        DEV_ORG_ID,
    )
    assert_refusal(http.post(SERVICES, json=SHOP, headers=KEY), "name_taken", "name")
    execute(database.owner, "delete from services")
    assert http.post(SERVICES, json=SHOP, headers=KEY).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "schlüssel", "\x7f", "\U0001f511"])
def test_a_key_that_is_none_is_refused(
    http: httpx.Client, database: TestDatabase, key: str
) -> None:
    answer = http.post(SERVICES, json=SHOP, headers=[(b"Idempotency-Key", key.encode())])
    assert_refusal(answer, "invalid_field", "Idempotency-Key")
    assert execute(database.owner, SERVICES_MADE) == [(0,)]


@pytest.mark.parametrize("key", ["x", "x" * 255, 'a b, "c" ~!\'%;--'])
def test_a_key_is_any_printable_text(http: httpx.Client, key: str) -> None:
    headers = {"Idempotency-Key": key}
    same(
        http.post(SERVICES, json=SHOP, headers=headers),
        http.post(SERVICES, json=SHOP, headers=headers),
    )


def test_a_key_counts_for_a_day(http: httpx.Client, database: TestDatabase) -> None:
    http.post(SERVICES, json=SHOP, headers=KEY)
    lives = "select expires_at = created_at + interval '24 hours' from idempotency_keys, services"
    assert execute(database.owner, lives) == [(True,)]
    execute(database.owner, "update idempotency_keys set expires_at = now()")
    blog = http.post(SERVICES, json=SHOP | {"name": "blog"}, headers=KEY)
    assert blog.status_code == 201
    same(blog, http.post(SERVICES, json=SHOP | {"name": "blog"}, headers=KEY))
    assert execute(database.owner, KEPT) == [(1,)]


def test_a_key_is_its_organisations_own(http: httpx.Client, database: TestDatabase) -> None:
    first = http.post(SERVICES, json=SHOP, headers=KEY)
    other = add_organisation(database.owner)
    execute(database.owner, "update services set org_id = %s", other)
    execute(database.owner, "update idempotency_keys set org_id = %s", other)
    second = http.post(SERVICES, json=SHOP | {"name": "blog"}, headers=KEY)
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


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
    settings = {
        "FUNCTION_TARGET": "services",
        "FUNCTION_SOURCE": str(FUNCTIONS / "services.py"),
        "DATABASE_URL": database.api,
        "PORT": str(port),
    }
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


def test_the_client_library_may_say_which_calls_are_one(api: str) -> None:
    request = DeployRequest(name="shop", image="nginx")
    with Client(api) as client:
        made = client.deploy(request, idempotency_key="one")
        assert client.deploy(request, idempotency_key="one") == made
        with pytest.raises(NameTaken):
            client.deploy(request)


# A route whose answer is a secret, and one that fails, which no function has yet.
own = Api("own")
failures = [RuntimeError("once")]


@own.post("/secret", Role.MEMBER, status=201, secret=True)
async def make_secret(call: Call) -> Service:
    """Answer what must not be kept."""
    row = await services.create(call.db, call.org_id, wanted(image="s3cret"), by="test")
    return row.public("localhost")


@own.post("/fails", Role.MEMBER, status=201)
async def fail_once(call: Call) -> Service:
    """Write, and then fail the first time."""
    row = await services.create(call.db, call.org_id, wanted(), by="test")
    if failures:
        raise failures.pop()
    return row.public("localhost")


@pytest.fixture
def owns(database: TestDatabase) -> Iterator[httpx.Client]:
    db = Database(database.api)
    with (
        served(own.build(dev_config(), db), after=db.close) as url,
        httpx.Client(base_url=url) as client,
    ):
        yield client


def test_a_secret_is_answered_once_and_not_kept(owns: httpx.Client, database: TestDatabase) -> None:
    assert "s3cret" in owns.post("/secret", headers=KEY).text
    said = assert_refusal(owns.post("/secret", headers=KEY), "conflict")
    assert "shown only once" in said
    assert execute(database.owner, SERVICES_MADE) == [(1,)]
    [kept] = execute(database.owner, "select k::text, body from idempotency_keys k")
    assert "s3cret" not in kept[0]
    assert kept[1] is None


def test_what_fails_in_its_middle_is_undone_and_may_be_tried_again(
    owns: httpx.Client, database: TestDatabase
) -> None:
    assert_refusal(owns.post("/fails", headers=KEY), "internal")
    assert execute(database.owner, SERVICES_MADE) == [(0,)]
    assert execute(database.owner, KEPT) == [(0,)]
    first = owns.post("/fails", headers=KEY)
    assert first.status_code == 201
    same(first, owns.post("/fails", headers=KEY))

"""Idempotency-Key: what is sent again is not done again."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from maxcloud.calls import Call
from maxcloud.client import Client
from maxcloud.config import DEV_ORG_ID
from maxcloud.errors import NameTaken
from maxcloud.http import Api
from maxcloud.models import DeployRequest, Service
from maxcloud.roles import Role
from maxcloud.store import services
from maxcloud.store.database import Database
from tests.conftest import TestDatabase, dev_config, served
from tests.functions.repeated import KEPT, KEY, SERVICES_MADE, same
from tests.functions.support import SERVICES, SHOP, assert_refusal
from tests.store.support import add_organisation, execute, wanted

JSON = {"Content-Type": "application/json"}


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

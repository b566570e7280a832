"""The function `auth`: what keys may do, how they are made, and that they end at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from maxcloud import keys
from maxcloud.http import Api
from maxcloud.roles import Role
from tests.conftest import TestDatabase
from tests.functions.people import (
    AUTH,
    Organisation,
    caller,
    installation,
)
from tests.functions.support import SERVICES, SHOP, assert_refusal
from tests.store.support import execute


@pytest.fixture
def url(database: TestDatabase, apis: dict[str, Api]) -> Iterator[str]:
    with installation(apis, database) as running:
        yield running


def test_keys_are_made_listed_and_revoked_at_once(url: str, database: TestDatabase) -> None:
    organisation = Organisation(database)
    with caller(url, organisation.key()) as admin, caller(url, organisation.key(Role.MEMBER)) as m:
        answer = m.post(f"{AUTH}/api-keys", json={"name": "ci", "role": "deploy"})
        assert answer.status_code == 201
        made = answer.json()
        assert made["info"]["role"] == "deploy"
        assert made["info"]["expires_at"] is None
        assert len(m.get(f"{AUTH}/api-keys").json()) == 2
        assert len(admin.get(f"{AUTH}/api-keys").json()) == 3
        with caller(url, made["api_key"]) as ci:
            assert ci.post(SERVICES, json=SHOP).status_code == 201
            assert_refusal(ci.get(f"{AUTH}/api-keys"), "forbidden")
            assert admin.delete(f"{AUTH}/api-keys/{made['info']['id']}").status_code == 204
            assert_refusal(ci.get(SERVICES), "unauthenticated")
        assert_refusal(admin.delete(f"{AUTH}/api-keys/{made['info']['id']}"), "not_found")


def test_keys_come_in_pages(url: str, database: TestDatabase) -> None:
    organisation = Organisation(database)
    with caller(url, organisation.key()) as admin:
        for number in range(4):
            admin.post(f"{AUTH}/api-keys", json={"name": f"k{number}"})
        path, names = f"{AUTH}/api-keys?limit=2", []
        while path:
            answer = admin.get(path)
            names += [key["name"] for key in answer.json()]
            path = answer.links.get("next", {}).get("url", "")
    assert names == ["test", "k0", "k1", "k2", "k3"]


def test_a_key_is_made_once_and_its_answer_is_not_kept(url: str, database: TestDatabase) -> None:
    with caller(url, Organisation(database).key()) as admin:
        headers = {"Idempotency-Key": "once"}
        wanted = {"name": "ci", "role": "read"}
        made = admin.post(f"{AUTH}/api-keys", json=wanted, headers=headers)
        assert made.status_code == 201
        again = admin.post(f"{AUTH}/api-keys", json=wanted, headers=headers)
        assert "shown only once" in assert_refusal(again, "conflict")
        assert len(admin.get(f"{AUTH}/api-keys").json()) == 2
    assert execute(database.owner, "select body from idempotency_keys") == [(None,)]


def test_a_key_has_at_most_the_role_of_who_makes_it(url: str, database: TestDatabase) -> None:
    member = Organisation(database).member(Role.ADMIN)
    with caller(url, member.key(Role.MEMBER)) as client:
        wanted = {"name": "more", "role": "admin"}
        assert_refusal(client.post(f"{AUTH}/api-keys", json=wanted), "forbidden")
        made = client.post(f"{AUTH}/api-keys", json={"name": "same", "expires_in_days": 30}).json()
        assert made["info"]["role"] == "member"
        expires = datetime.fromisoformat(made["info"]["expires_at"])
        assert timedelta(days=29) < expires - datetime.now(UTC) <= timedelta(days=30)


def test_a_key_does_not_outlive_the_role_of_its_owner(url: str, database: TestDatabase) -> None:
    member = Organisation(database).member(Role.ADMIN)
    with caller(url, member.key(Role.ADMIN)) as client:
        execute(
            database.owner, "update memberships set role = 'member' where user_id = %s", member.id
        )
        assert client.get(f"{AUTH}/status").json()["role"] == "member"
        assert_refusal(client.get(f"{AUTH}/invites"), "forbidden")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a", "role": "owner"}, "role"),
        ({"name": "a", "expires_in_days": 0}, "expires_in_days"),
        ({"name": "a", "expires_in_days": 3651}, "expires_in_days"),
        ({"name": "a", "expires_in_days": "1"}, "expires_in_days"),
        ({"name": "a", "scope": "all"}, "scope"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    url: str, database: TestDatabase, body: dict[str, object], field: str
) -> None:
    with caller(url, Organisation(database).key()) as client:
        assert_refusal(client.post(f"{AUTH}/api-keys", json=body), "invalid_field", field)


def test_the_last_admin_key_goes_only_when_that_is_meant(url: str, database: TestDatabase) -> None:
    organisation = Organisation(database)
    organisation.key(is_expired=True)
    with caller(url, organisation.key()) as admin:
        assert (
            admin.post(f"{AUTH}/api-keys", json={"name": "ci", "role": "read"}).status_code == 201
        )
        listed = admin.get(f"{AUTH}/api-keys").json()
        [own] = [key for key in listed if key["role"] == "admin" and not key["expires_at"]]
        path = f"{AUTH}/api-keys/{own['id']}"
        assert_refusal(admin.delete(path), "last_admin_key")
        assert_refusal(admin.delete(f"{path}?force=yes"), "invalid_field", "force")
        assert admin.delete(f"{path}?force=true").status_code == 204
        assert_refusal(admin.get(SERVICES), "unauthenticated")


def test_two_admin_keys_that_go_at_once_do_not_both_go(url: str, database: TestDatabase) -> None:
    organisation = Organisation(database)
    own = [organisation.key() for _ in range(2)]
    query = "select prefix, id from api_keys where org_id = %s"
    ids = dict(execute(database.owner, query, organisation.id))

    def delete(key: str) -> int:
        with caller(url, key) as client:
            return client.delete(f"{AUTH}/api-keys/{ids[keys.prefix_of(key)]}").status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(delete, own)) == [204, 409]


def test_the_use_of_a_key_is_noted_once_a_minute(url: str, database: TestDatabase) -> None:
    organisation = Organisation(database)
    query = "select last_used_at from api_keys where org_id = %s"
    with caller(url, organisation.key()) as client:
        client.get(SERVICES)
        # What follows an answer is done before the next request of its connection.
        client.get(SERVICES)
        [(first,)] = execute(database.owner, query, organisation.id)
        assert first is not None
        client.get(SERVICES)
        client.get(SERVICES)
        assert execute(database.owner, query, organisation.id) == [(first,)]
        execute(database.owner, "update api_keys set last_used_at = now() - interval '61 seconds'")
        client.get(SERVICES)
        client.get(SERVICES)
        [(second,)] = execute(database.owner, query, organisation.id)
        assert second > first


@pytest.mark.parametrize(
    "authorization",
    ["bearer {key}", "BEARER {key}"],
)
def test_the_scheme_is_read_in_any_case(
    url: str, database: TestDatabase, authorization: str
) -> None:
    said = authorization.format(key=Organisation(database).key())
    with caller(url) as client:
        assert client.get(SERVICES, headers={"Authorization": said}).status_code == 200

"""The platform's own organisation: its services are read like any other, and changed by nobody."""

from __future__ import annotations

from uuid import uuid4

import pytest

from maxcloud import system
from maxcloud.roles import Role
from maxcloud.routes import Route
from tests.conftest import TestDatabase
from tests.functions.people import AUTH, Organisation, caller
from tests.functions.support import SERVICES, assert_refusal
from tests.functions.test_isolation import Own, World, each_route, everything, world
from tests.store.support import execute

__all__ = ["world"]

REFUSAL = (
    "the platform's own services are only read here:"
    " `maxcloud platform install` and `maxcloud platform rollback` change them"
)


class System(Organisation):
    """The organisation that every installation has."""

    def __post_init__(self) -> None:
        self.id, self.name = system.ORG_ID, "system"


class Ours(Own):
    """What it has: a function by the name `services`, and what only a superuser could give it."""

    def __init__(self, database: TestDatabase) -> None:
        self.database = database
        self.organisation = System(database)
        self.name, self.service = "services", system.service_id("services")
        insert = (
            "insert into services (id, org_id, name, image, status, observed_generation) values"
            " (%s, %s, %s, 'i', 'ready', 1) on conflict do nothing"
        )
        execute(database.owner, insert, self.service, system.ORG_ID, self.name)
        self.invitation = self.organisation.invitation()
        self.spare = self.organisation.member().key(Role.ADMIN)
        self.email = f"{uuid4().hex}@example.test"


@pytest.fixture
def asked(world: tuple[str, TestDatabase]) -> World:
    url, database = world
    return World(url, Ours(database))


def rows(own: Own) -> list[object]:
    """Every row of the organisation, without when its keys were used."""
    [services, _, *others] = everything(own)
    made = "select id, digest, role, expires_at from api_keys where org_id = %s order by 1"
    return [services, *others, execute(own.database.owner, made, system.ORG_ID)]


@each_route(lambda route: route.role and route.role is not Role.READ)
@pytest.mark.parametrize("role", Role)
def test_no_key_changes_anything(asked: World, route: Route, role: Role) -> None:
    key = asked.own.organisation.key(role)
    before = rows(asked.own)
    assert assert_refusal(asked.ask(route, key), "forbidden") == REFUSAL
    assert rows(asked.own) == before


@each_route(lambda route: route.role is Role.READ)
def test_any_key_reads_what_there_is(asked: World, route: Route) -> None:
    answer = asked.ask(route, asked.own.organisation.key(Role.READ))
    assert answer.status_code == route.status, answer.text


def test_a_function_is_shown_at_the_apis_address(asked: World) -> None:
    with caller(asked.url, asked.own.organisation.key(Role.READ)) as client:
        [shown] = client.get(SERVICES).json()
        assert (shown["name"], shown["url"]) == ("services", "https://api.maxcloud.dev")
        assert client.get(f"{SERVICES}/services").json() == shown
        assert client.get(f"{AUTH}/status").json()["organization"]["name"] == "system"


def test_nobody_else_sees_it_or_gets_its_name(asked: World) -> None:
    with caller(asked.url, Organisation(asked.own.database).key()) as client:
        for name in ("services", str(system.service_id("services"))):
            assert_refusal(client.get(f"{SERVICES}/{name}"), "not_found")
        body = {"email": asked.own.email, "org_name": "System"}
        assert_refusal(client.post(f"{AUTH}/register", json=body), "organization_taken", "org_name")
        body = {"email": "system", "org_name": "mine"}
        assert_refusal(client.post(f"{AUTH}/register", json=body), "invalid_field", "email")

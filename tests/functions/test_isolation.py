"""Every route, and everybody who might ask: a new route fails here until it has a row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from maxcloud import keys, openapi, tokens
from maxcloud.http import Api
from maxcloud.roles import Role
from maxcloud.routes import Route
from tests.conftest import FUNCTIONS, Postgres, TestDatabase, cloned
from tests.functions.people import AUTH, SECRET, Organisation, caller, installation
from tests.functions.support import SERVICES, assert_refusal
from tests.local.apiserver import api_in_the_background
from tests.store.support import execute

IMAGES = "/api/v1/registry/images"
DELETE_IMAGE = ("DELETE", f"{IMAGES}/{{name:path}}/tags/{{tag}}")

# Tokens for the registry have tests of their own: there a key comes in other forms.
ROUTES = {
    (route.method, route.path): route
    for api in openapi.load(FUNCTIONS)
    for route in api.routes
    if route.path != "/api/v1/registry/token"
}


class Own:
    """What the organisation has that is asked about; each test's own."""

    def __init__(self, database: TestDatabase) -> None:
        self.database = database
        self.organisation = Organisation(database)
        self.name = f"s-{uuid4().hex[:8]}"
        self.service = self.organisation.service(self.name)
        self.invitation = self.organisation.invitation()
        self.spare = self.organisation.member().key(Role.ADMIN)
        self.email = f"{uuid4().hex}@example.test"

    def key_id(self, key: str) -> UUID:
        [(id,)] = execute(
            self.database.owner, "select id from api_keys where prefix = %s", keys.prefix_of(key)
        )
        return UUID(str(id))

    def token(self, purpose: str) -> str:
        if purpose == tokens.INVITATION:
            subject = self.invitation
            query = "select email, created_at, expires_at from invitations where id = %s"
        else:
            subject = self.organisation.member(is_verified=False).id
            query = "select email, now(), now() + interval '1 day' from users where id = %s"
        [(email, issued, expires)] = execute(self.database.owner, query, subject)
        return tokens.make(
            purpose, tokens.Claims(subject, self.organisation.id, email, issued, expires), SECRET
        )


@dataclass(frozen=True)
class Ask:
    """How a route is asked about something of an organisation: an id for the path, and a body.

    `status` is what who may ask is answered, where that is not the route's own.
    """

    id: Callable[[Own], object] | None = None
    body: Callable[[Own], Any] | None = None
    status: int | None = None


def deploy(own: Own) -> dict[str, Any]:
    return {"name": f"n-{uuid4().hex[:8]}", "image": "nginx"}


ROWS: dict[tuple[str, str], Ask] = {
    ("GET", "/healthz"): Ask(),
    ("GET", "/readyz"): Ask(),
    ("GET", "/api/v1/version"): Ask(),
    ("GET", "/api/v1/openapi.json"): Ask(),
    ("POST", f"{AUTH}/register"): Ask(
        body=lambda own: {"email": own.email, "org_name": f"o {own.email}"}
    ),
    ("POST", f"{AUTH}/verify"): Ask(body=lambda own: {"token": own.token(tokens.PROOF_OF_ADDRESS)}),
    ("GET", f"{AUTH}/verify"): Ask(),
    ("GET", f"{AUTH}/accept-invite"): Ask(),
    ("GET", f"{AUTH}/status"): Ask(),
    ("POST", f"{AUTH}/api-keys"): Ask(body=lambda own: {"name": "ci", "role": "read"}),
    ("GET", f"{AUTH}/api-keys"): Ask(),
    ("DELETE", f"{AUTH}/api-keys/{{id}}"): Ask(id=lambda own: own.key_id(own.spare)),
    ("POST", f"{AUTH}/invites"): Ask(body=lambda own: {"email": own.email}),
    ("GET", f"{AUTH}/invites"): Ask(),
    ("DELETE", f"{AUTH}/invites/{{id}}"): Ask(id=lambda own: own.invitation),
    ("POST", f"{AUTH}/accept-invite"): Ask(
        body=lambda own: {"token": own.token(tokens.INVITATION)}
    ),
    ("GET", SERVICES): Ask(),
    ("POST", SERVICES): Ask(body=deploy),
    ("GET", f"{SERVICES}/{{id}}"): Ask(id=lambda own: own.name),
    ("PATCH", f"{SERVICES}/{{id}}"): Ask(id=lambda own: own.service, body=lambda own: {"port": 80}),
    ("DELETE", f"{SERVICES}/{{id}}"): Ask(id=lambda own: own.name),
    ("PUT", f"{SERVICES}/{{id}}/traffic"): Ask(
        id=lambda own: own.name, body=lambda own: [{"revision": "latest", "percent": 100}]
    ),
    ("GET", IMAGES): Ask(),
    # There is no registry here; with one, tests/registry asks.
    DELETE_IMAGE: Ask(status=503),
    ("GET", f"{SERVICES}/{{id}}/events"): Ask(id=lambda own: own.service),
    ("GET", f"{SERVICES}/{{id}}/revisions"): Ask(id=lambda own: own.service),
    ("GET", f"{SERVICES}/{{id}}/logs"): Ask(id=lambda own: own.name),
    ("GET", "/api/v1/logs/{id}"): Ask(id=lambda own: own.name),
}

# A key of a member's reaches only their own keys; the row above asks about an admin's.
NOT_THEIRS = {(("DELETE", f"{AUTH}/api-keys/{{id}}"), Role.MEMBER)}


def test_every_route_has_a_row() -> None:
    assert set(ROWS) == set(ROUTES)


@pytest.fixture(scope="module")
def world(
    postgres: Postgres,
    template: str,
    apis: dict[str, Api],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, TestDatabase]]:
    with (
        api_in_the_background(tmp_path_factory.mktemp("kubernetes")) as kubernetes,
        pytest.MonkeyPatch.context() as settings,
        cloned(postgres, template) as database,
        installation(apis, database) as url,
    ):
        settings.setenv("KUBECONFIG", str(kubernetes.kubeconfig))
        yield url, database


@dataclass(frozen=True)
class World:
    url: str
    own: Own

    def ask(self, route: Route, key: str | None, id: object | None = None) -> httpx.Response:
        row = ROWS[route.method, route.path]
        if row.id is not None:
            id = id or row.id(self.own)
        path = route.path.replace("{id}", str(id))
        body = row.body(self.own) if row.body else None
        with caller(self.url, key) as client:
            return client.request(route.method, path, json=body)


@pytest.fixture
def asked(world: tuple[str, TestDatabase]) -> World:
    url, database = world
    return World(url, Own(database))


def each_route(wanted: Callable[[Route], object]) -> pytest.MarkDecorator:
    found = [route for route in ROUTES.values() if wanted(route)]
    return pytest.mark.parametrize("route", found, ids=lambda r: f"{r.method} {r.path}")


@each_route(lambda route: route.role is None)
@pytest.mark.parametrize("known", [False, True])
def test_a_public_route_asks_for_no_key(asked: World, route: Route, *, known: bool) -> None:
    key = asked.own.organisation.key() if known else "mc_nonsense"
    assert asked.ask(route, key).status_code == route.status


@each_route(lambda route: route.role)
@pytest.mark.parametrize("role", Role)
def test_a_key_reaches_as_far_as_its_role(asked: World, route: Route, role: Role) -> None:
    assert route.role is not None
    answer = asked.ask(route, asked.own.organisation.key(role))
    if ((route.method, route.path), role) in NOT_THEIRS:
        assert_refusal(answer, "not_found")
    elif role.covers(route.role):
        expected = ROWS[route.method, route.path].status or route.status
        assert answer.status_code == expected, answer.text
    else:
        assert_refusal(answer, "forbidden")


@each_route(lambda route: route.role)
@pytest.mark.parametrize("kind", ["none", "unknown", "revoked", "expired", "of another secret"])
def test_without_a_good_key_nothing_answers(asked: World, route: Route, kind: str) -> None:
    organisation = asked.own.organisation
    key: str | None = None
    if kind == "unknown":
        key = keys.make()
    elif kind == "revoked":
        key = organisation.key()
        execute(
            asked.own.database.owner, "delete from api_keys where prefix = %s", keys.prefix_of(key)
        )
    elif kind == "expired":
        key = organisation.key(is_expired=True)
    elif kind == "of another secret":
        key = organisation.key(secret="x" * 32)
    before = everything(asked.own)
    assert assert_refusal(asked.ask(route, key), "unauthenticated") == "authentication required"
    assert everything(asked.own) == before


@each_route(lambda route: route.role and "{id}" in route.path)
def test_what_another_organisation_has_is_as_if_it_were_not_there(
    asked: World, route: Route
) -> None:
    stranger = Organisation(asked.own.database).key()
    before = everything(asked.own)
    theirs = asked.ask(route, stranger)
    missing = asked.ask(route, stranger, uuid4())
    assert_refusal(theirs, "not_found")
    assert_refusal(missing, "not_found")
    assert theirs.json() | {"request_id": ""} == missing.json() | {"request_id": ""}
    assert set(theirs.headers) == set(missing.headers)
    assert everything(asked.own) == before


@each_route(lambda route: route.role and "{id}" not in route.path and route.method == "GET")
def test_a_list_has_nothing_of_another_organisation(asked: World, route: Route) -> None:
    stranger = Organisation(asked.own.database)
    answer = asked.ask(route, stranger.key())
    assert answer.status_code == route.status
    for secret in (asked.own.name, asked.own.organisation.id, asked.own.organisation.name):
        assert str(secret) not in answer.text


def everything(own: Own) -> list[object]:
    """Every row of the organisation."""
    found: list[object] = []
    for table in ("services", "api_keys", "invitations", "memberships"):
        query = f"select * from {table} where org_id = %s order by 1, 2, 3"  # noqa: S608 - ours
        found.append(execute(own.database.owner, query, own.organisation.id))
    return found

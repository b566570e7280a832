"""The registry's token endpoint: both flows, every kind of credential, and what each may do."""

import base64
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import jwt
import pytest

from maxcloud import keys, registry
from maxcloud.http import Api
from maxcloud.roles import Role
from maxcloud.store import limits
from maxcloud.store.database import Database
from tests.conftest import ByPath, Postgres, TestDatabase, cloned, dev_config, served
from tests.functions.conftest import AWAY
from tests.functions.people import Organisation, caller, installation, production
from tests.functions.support import assert_refusal

TOKEN = "/api/v1/registry/token"
SIGNING = "r" * 32
AUDIENCE = "registry.maxcloud.dev"
ALL = ["pull", "push", "delete"]


@pytest.fixture(scope="module")
def database(postgres: Postgres, template: str) -> Iterator[TestDatabase]:
    with cloned(postgres, template) as made:
        yield made


@pytest.fixture(scope="module")
def url(database: TestDatabase, apis: dict[str, Api]) -> Iterator[str]:
    with installation(apis, database, registry_secrets=(SIGNING,)) as running:
        yield running


@pytest.fixture
def anybody(url: str) -> Iterator[httpx.Client]:
    with caller(url) as client:
        yield client


@pytest.fixture(scope="module")
def org(database: TestDatabase) -> Organisation:
    return Organisation(database)


def claims(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"token", "access_token", "expires_in", "issued_at"}
    assert body["token"] == body["access_token"]
    [public] = registry.jwks([SIGNING])["keys"]
    found: dict[str, Any] = jwt.decode(
        body["token"], jwt.PyJWK(public), ["ES256"], audience=AUDIENCE, issuer="maxcloud"
    )
    assert found["exp"] - found["iat"] == body["expires_in"] == 3600
    assert datetime.fromisoformat(body["issued_at"]).timestamp() == found["iat"]
    return found


def scope(org: Organisation, actions: str = "pull,push,delete") -> str:
    return f"repository:{org.id}/shop:{actions}"


def basic(key: str, user: str = "anything") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()}


def form(key: str, **fields: object) -> dict[str, object]:
    return {
        "grant_type": "password",
        "username": "u",
        "password": key,
        "service": AUDIENCE,
    } | fields


@pytest.mark.parametrize("flow", ["basic", "bearer", "form"])
@pytest.mark.parametrize(
    ("role", "actions"),
    [(Role.ADMIN, ALL), (Role.MEMBER, ALL), (Role.DEPLOY, ALL), (Role.READ, ["pull"])],
)
def test_a_key_gets_what_its_role_may(
    anybody: httpx.Client, org: Organisation, flow: str, role: Role, actions: list[str]
) -> None:
    key = org.key(role)
    query = {"service": AUDIENCE, "scope": scope(org), "client_id": "docker"}
    if flow == "form":
        answer = anybody.post(TOKEN, data=form(key, scope=scope(org), client_id="containerd"))
    else:
        shown = basic(key) if flow == "basic" else {"Authorization": f"Bearer {key}"}
        answer = anybody.get(TOKEN, params=query, headers=shown)
    wanted = {"type": "repository", "name": f"{org.id}/shop", "actions": actions}
    assert claims(answer)["access"] == [wanted]


def test_a_login_asks_for_nothing_and_gets_it(anybody: httpx.Client, org: Organisation) -> None:
    query = {"account": "u", "client_id": "docker", "offline_token": "true", "service": AUDIENCE}
    member = org.member()
    found = claims(anybody.get(TOKEN, params=query, headers=basic(member.key())))
    assert (found["access"], found["sub"]) == ([], str(member.id))


def test_what_is_somebody_elses_is_left_out(anybody: httpx.Client, org: Organisation) -> None:
    theirs = Organisation(org.database)
    asked = [scope(org, "pull,push"), scope(theirs, "pull"), "registry:catalog:*"]
    found = claims(anybody.get(TOKEN, params={"scope": asked}, headers=basic(org.key())))
    assert [each["name"] for each in found["access"]] == [f"{org.id}/shop"]
    answer = anybody.post(TOKEN, data=form(org.key(), scope=" ".join(asked)))
    assert claims(answer)["access"] == found["access"]


def test_a_form_says_its_scope_once_and_may_repeat_what_nobody_reads(
    anybody: httpx.Client, org: Organisation
) -> None:
    asked = f"repository:{org.id}/a:pull"
    answer = anybody.post(TOKEN, data=form(org.key(), scope=asked, client_id=["x", ""]))
    assert [each["name"] for each in claims(answer)["access"]] == [f"{org.id}/a"]
    twice = anybody.post(TOKEN, data=form(org.key(), scope=[asked, asked]))
    assert_refusal(twice, "invalid_field", "scope")


def test_who_has_not_proven_an_address_only_pulls(anybody: httpx.Client, org: Organisation) -> None:
    key = org.member(is_verified=False).key()
    found = claims(anybody.get(TOKEN, params={"scope": scope(org)}, headers=basic(key)))
    assert [each["actions"] for each in found["access"]] == [["pull"]]


def test_a_pull_key_pulls_for_its_organisation_alone(
    anybody: httpx.Client, org: Organisation
) -> None:
    key = registry.pull_key(org.id, SIGNING, int(time.time()))
    theirs = Organisation(org.database)
    query = {"scope": [scope(org), scope(theirs)]}
    for found in (
        claims(anybody.get(TOKEN, params=query, headers=basic(key, registry.ROBOT))),
        claims(anybody.post(TOKEN, data=form(key, scope=" ".join(query["scope"])))),
    ):
        assert found["sub"] == registry.ROBOT
        assert [(a["name"], a["actions"]) for a in found["access"]] == [
            (f"{org.id}/shop", ["pull"])
        ]
    # It opens nothing else.
    for path in ("/api/v1/services", "/api/v1/auth/status"):
        answer = anybody.get(path, headers={"Authorization": f"Bearer {key}"})
        assert_refusal(answer, "unauthenticated")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        {"Authorization": "Bearer"},
        {"Authorization": "Digest x"},
        basic(""),
        basic("wrong"),
        basic(keys.make()),
        {"Authorization": f"Bearer {keys.make()}"},
    ],
)
def test_a_bad_credential_is_refused_with_a_challenge(
    anybody: httpx.Client, org: Organisation, headers: dict[str, str]
) -> None:
    answer = anybody.get(TOKEN, params={"scope": scope(org)}, headers=headers)
    assert_refusal(answer, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


def test_keys_are_guessed_here_no_more_often_than_elsewhere(url: str) -> None:
    with caller(url) as guessing:
        codes = [
            guessing.get(TOKEN, headers=basic(keys.make())).status_code
            for _ in range(limits.FAILED_KEY_OF_ADDRESS.most + 2)
        ]
        refused = guessing.post(TOKEN, data=form(keys.make()))
    assert codes == [401] * limits.FAILED_KEY_OF_ADDRESS.most + [429] * 2
    assert_refusal(refused, "too_many_requests")
    assert 0 < int(refused.headers["Retry-After"]) <= limits.FAILED_KEY_OF_ADDRESS.seconds


def test_an_expired_or_revoked_key_is_refused(anybody: httpx.Client, org: Organisation) -> None:
    key = org.member().key(is_expired=True)
    for answer in (anybody.get(TOKEN, headers=basic(key)), anybody.post(TOKEN, data=form(key))):
        assert_refusal(answer, "unauthenticated")


@pytest.mark.parametrize(
    ("content", "media", "code", "field"),
    [
        (b"", "application/x-www-form-urlencoded", "invalid_field", "grant_type"),
        (
            b"grant_type=refresh_token",
            "application/x-www-form-urlencoded",
            "invalid_field",
            "grant_type",
        ),
        (
            b"grant_type=password&grant_type=password",
            "application/x-www-form-urlencoded",
            "invalid_field",
            "grant_type",
        ),
        (b"grant_type=password", "application/x-www-form-urlencoded", "unauthenticated", None),
        (b"grant_type=%ff\xff", "application/x-www-form-urlencoded", "malformed", None),
        (b"a=1&" * 200, "application/x-www-form-urlencoded", "malformed", None),
        (b"{}", "application/json", "unsupported_media_type", None),
        (b"grant_type=password", "", "unsupported_media_type", None),
        (b"a" * (1024 * 1024 + 1), "application/x-www-form-urlencoded", "payload_too_large", None),
    ],
)
def test_a_form_that_is_none(
    anybody: httpx.Client, content: bytes, media: str, code: str, field: str | None
) -> None:
    answer = anybody.post(TOKEN, content=content, headers={"Content-Type": media})
    assert_refusal(answer, code, field)


def test_many_scopes_make_no_endless_token(anybody: httpx.Client, org: Organisation) -> None:
    asked = " ".join(f"repository:{org.id}/a{number}:pull" for number in range(1000))
    found = claims(anybody.post(TOKEN, data=form(org.key(), scope=asked)))
    assert len(found["access"]) == 50


def test_without_a_secret_there_is_no_registry(apis: dict[str, Api]) -> None:
    db = Database(AWAY)
    app = apis["registry"].build(production(), db)
    with served(app, after=db.close) as base, httpx.Client(base_url=base) as client:
        for answer in (client.get(TOKEN), client.post(TOKEN, data=form("x"))):
            assert "no registry" in assert_refusal(answer, "unavailable")


def test_in_dev_mode_everybody_is_the_developer(apis: dict[str, Api]) -> None:
    db = Database(AWAY)
    config = dev_config(registry_secrets=(SIGNING,), registry_url="registry.localhost:8080")
    app = ByPath({"registry": apis["registry"].build(config, db)})
    asked = {"scope": "repository:00000000-0000-4000-8000-000000000001/shop:pull,push"}
    with served(app, after=db.close) as base, httpx.Client(base_url=base) as client:
        for headers in ({}, basic("x")):
            token = client.get(TOKEN, params=asked, headers=headers).json()["token"]
            found = jwt.decode(token, options={"verify_signature": False})
            assert found["aud"] == "registry.localhost:8080"
            assert found["access"][0]["actions"] == ["pull", "push"]

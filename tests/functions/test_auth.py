"""The function `auth`: organisations, the proof of an address."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from maxcloud import tokens
from maxcloud.http import Api
from maxcloud.tokens import Claims
from tests.conftest import TestDatabase
from tests.functions.people import (
    AUTH,
    OLD_SECRET,
    SECRET,
    Member,
    Organisation,
    caller,
    installation,
)
from tests.functions.support import SERVICES, SHOP, assert_refusal
from tests.store.support import execute

ADA = {"email": "ada@example.test", "org_name": "Analytical Engines"}


@pytest.fixture
def url(database: TestDatabase, apis: dict[str, Api]) -> Iterator[str]:
    with installation(apis, database) as running:
        yield running


@pytest.fixture
def anybody(url: str) -> Iterator[httpx.Client]:
    with caller(url) as client:
        yield client


def counted(database: TestDatabase) -> list[int]:
    """How many rows there are of what registering makes, DEV_MODE's and the platform's apart."""
    tables = ("organizations", "users", "memberships", "api_keys")
    queries = [f"select count(*) from {table}" for table in tables]  # noqa: S608 - ours
    counts = [execute(database.owner, query)[0][0] for query in queries]
    return [count - own for count, own in zip(counts, (2, 2, 2, 0), strict=True)]


def proof(member: Member, **changes: object) -> str:
    issued = datetime.now(UTC)
    claims = {
        "subject": member.id,
        "org_id": member.organisation.id,
        "email": member.email,
        "issued_at": issued,
        "expires_at": issued + timedelta(days=1),
    }
    return tokens.make(tokens.PROOF_OF_ADDRESS, Claims(**(claims | changes)), SECRET)  # type: ignore[arg-type]


def test_registering_gives_a_key_that_may_do_everything(url: str, anybody: httpx.Client) -> None:
    answer = anybody.post(f"{AUTH}/register", json=ADA)
    assert answer.status_code == 201
    made = answer.json()
    assert made["user"]["email"] == "ada@example.test"
    assert made["organization"]["name"] == "Analytical Engines"
    with caller(url, made["api_key"]) as ada:
        assert ada.get(f"{AUTH}/status").json() == {
            "user": made["user"],
            "organization": made["organization"],
            "role": "admin",
            "verified": False,
        }
        [key] = ada.get(f"{AUTH}/api-keys").json()
    assert made["api_key"].startswith(key["prefix"])
    assert (key["role"], key["user_id"]) == ("admin", made["user"]["id"])


def test_an_unproven_address_reads_and_writes_no_service(url: str, anybody: httpx.Client) -> None:
    made = anybody.post(f"{AUTH}/register", json=ADA).json()
    with caller(url, made["api_key"]) as ada:
        assert ada.get(SERVICES).json() == []
        said = assert_refusal(ada.post(SERVICES, json=SHOP), "email_unverified")
        assert "prove your e-mail address" in said


@pytest.mark.parametrize(
    ("registration", "code"), [("open", 201), ("verify", 201), ("closed", 403)]
)
def test_who_may_register_is_the_operators_choice(
    database: TestDatabase, apis: dict[str, Api], registration: str, code: int
) -> None:
    with (
        installation(apis, database, registration=registration) as url,
        caller(url) as anybody,
    ):
        answer = anybody.post(f"{AUTH}/register", json=ADA)
        assert answer.status_code == code
        if code == 403:
            assert_refusal(answer, "registration_closed")
            assert counted(database) == [0, 0, 0, 0]
            return
        with caller(url, answer.json()["api_key"]) as ada:
            expected = 201 if registration == "open" else 403
            assert ada.post(SERVICES, json=SHOP).status_code == expected


@pytest.mark.parametrize(
    ("again", "code", "field"),
    [
        ({"email": "ADA@example.test", "org_name": "Another"}, "email_taken", "email"),
        (
            {"email": "b@example.test", "org_name": "ANALYTICAL engines"},
            "organization_taken",
            "org_name",
        ),
    ],
)
def test_what_is_taken_is_a_conflict_and_changes_nothing(
    anybody: httpx.Client, database: TestDatabase, again: dict[str, str], code: str, field: str
) -> None:
    anybody.post(f"{AUTH}/register", json=ADA)
    before = counted(database)
    assert_refusal(anybody.post(f"{AUTH}/register", json=again), code, field)
    assert counted(database) == before == [1, 1, 1, 1]


@pytest.mark.parametrize("same", [["email", "org_name"], ["email"], ["org_name"]])
def test_twenty_at_once_make_one_account(url: str, database: TestDatabase, same: list[str]) -> None:
    def register(number: int) -> httpx.Response:
        body = {"email": f"a{number}@example.test", "org_name": f"org {number}"}
        with caller(url) as client:
            return client.post(f"{AUTH}/register", json=body | {k: ADA[k] for k in same})

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(register, range(20)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 19]
    for answer in answers:
        if answer.status_code == 409:
            code = answer.json()["code"]
            assert_refusal(answer, code, {"email_taken": "email"}.get(code, "org_name"))
    assert counted(database) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "email",
    [
        *("", "ada", "ada@", "@example.test", "ada@example", "a@b@c.de", " ada@example.test"),
        *("ada@example.test\n", "ada@exa mple.test", "ada@example.test\r\nBcc: eve@evil.test"),
        *("Ada <ada@example.test>", "ada@example.test,eve@evil.test", "ädä@example.test"),
        *("ada@exämple.test", "a..b@example.test", ".a@example.test", "a@-example.test"),
        *("a@example..test", '"a b"@example.test', "a" * 65 + "@example.test"),
        *("a@" + "b" * 64 + ".test", "a@" + "b.c" * 100 + ".test", "a\x00@example.test"),
    ],
)
def test_what_is_no_address_is_refused(
    anybody: httpx.Client, database: TestDatabase, email: str
) -> None:
    answer = anybody.post(f"{AUTH}/register", json=ADA | {"email": email})
    assert_refusal(answer, "invalid_field", "email")
    assert counted(database) == [0, 0, 0, 0]


@pytest.mark.parametrize("email", ["a@b.de", "first.last+tag@a.example.test", "x" * 64 + "@b.de"])
def test_an_address_is_taken(anybody: httpx.Client, email: str) -> None:
    answer = anybody.post(f"{AUTH}/register", json=ADA | {"email": email})
    assert answer.json()["user"]["email"] == email


@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", " a", "a ", "a  b", "a\x00", "a" * 65, "a\u202eb", "\u200b", 5, None]
)
def test_what_is_no_name_of_an_organisation_is_refused(anybody: httpx.Client, name: object) -> None:
    answer = anybody.post(f"{AUTH}/register", json=ADA | {"org_name": name})
    assert_refusal(answer, "invalid_field", "org_name")


@pytest.mark.parametrize("name", ["x", "Müller & Söhne GmbH", "<b>日本</b>", "a" * 64])
def test_a_name_of_an_organisation_is_any_line_of_text(anybody: httpx.Client, name: str) -> None:
    answer = anybody.post(f"{AUTH}/register", json=ADA | {"org_name": name})
    assert answer.json()["organization"]["name"] == name


def test_a_token_proves_the_address_once_and_again(url: str, database: TestDatabase) -> None:
    member = Organisation(database).member(is_verified=False)
    with caller(url, member.key()) as client:
        assert_refusal(client.post(SERVICES, json=SHOP), "email_unverified")
        for _ in range(2):
            answer = client.post(f"{AUTH}/verify", json={"token": proof(member)})
            assert (answer.status_code, answer.content) == (204, b"")
        assert client.get(f"{AUTH}/status").json()["verified"] is True
        assert client.post(SERVICES, json=SHOP).status_code == 201


def test_what_proves_nothing_is_refused(anybody: httpx.Client, database: TestDatabase) -> None:
    member = Organisation(database).member(is_verified=False)
    good, other = proof(member), Organisation(database)
    now = datetime.now(UTC)
    bad = {
        "of another address": proof(member, email="eve@evil.test"),
        "of another organisation": proof(member, org_id=other.id),
        "of another person": proof(member, subject=other.id),
        "changed": good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1],
        "nothing": "",
        "not a token": "a.b.c",
        "of another secret": tokens.make(
            tokens.PROOF_OF_ADDRESS, Claims(member.id, other.id, "a@b.c", now, now), "x" * 32
        ),
    }
    for token in bad.values():
        assert_refusal(
            anybody.post(f"{AUTH}/verify", json={"token": token}), "invalid_token", "token"
        )
    expired = proof(member, expires_at=now - timedelta(seconds=1))
    answer = anybody.post(f"{AUTH}/verify", json={"token": expired})
    assert_refusal(answer, "token_expired", "token")
    query = "select count(*) from memberships where org_id = %s and verified_at is not null"
    assert execute(database.owner, query, member.organisation.id) == [(0,)]


def test_a_proof_in_one_organisation_proves_nothing_in_another(
    url: str, database: TestDatabase
) -> None:
    """Whoever registered with somebody else's address is not let in by what its owner proves."""
    squatter = Organisation(database).member(is_verified=False)
    key, other = squatter.key(), Organisation(database)
    invitation = other.invitation(squatter.email)
    [(issued, expires)] = execute(
        database.owner, "select created_at, expires_at from invitations where id = %s", invitation
    )
    claims = Claims(invitation, other.id, squatter.email, issued, expires)
    token = tokens.make(tokens.INVITATION, claims, SECRET)
    with caller(url, key) as client:
        joined = client.post(f"{AUTH}/accept-invite", json={"token": token})
        assert joined.status_code == 201
        assert_refusal(client.post(SERVICES, json=SHOP), "email_unverified")
    with caller(url, joined.json()["api_key"]) as client:
        assert client.get(f"{AUTH}/status").json()["verified"] is True


def test_a_secret_is_rotated(database: TestDatabase, apis: dict[str, Api]) -> None:
    member = Organisation(database).member(is_verified=False)
    old = member.key(secret=OLD_SECRET)
    now = datetime.now(UTC)
    claims = Claims(member.id, member.organisation.id, member.email, now, now + timedelta(days=1))
    token = tokens.make(tokens.PROOF_OF_ADDRESS, claims, OLD_SECRET)
    both = (SECRET, OLD_SECRET)
    with installation(apis, database, secret_keys=both) as url, caller(url, old) as client:
        assert client.get(SERVICES).status_code == 200
        assert client.post(f"{AUTH}/verify", json={"token": token}).status_code == 204
        made = client.post(f"{AUTH}/api-keys", json={"name": "new"}).json()["api_key"]
    with installation(apis, database, secret_keys=(SECRET,)) as url:
        with caller(url, old) as client:
            assert_refusal(client.get(SERVICES), "unauthenticated")
            answer = client.post(f"{AUTH}/verify", json={"token": token})
            assert_refusal(answer, "invalid_token", "token")
        with caller(url, made) as client:
            assert client.get(SERVICES).status_code == 200

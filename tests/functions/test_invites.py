"""The function `invites`: asking people in, and what they do with the token."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from maxcloud import tokens
from maxcloud.http import Api
from maxcloud.roles import Role
from maxcloud.tokens import Claims
from tests.conftest import TestDatabase
from tests.functions.people import (
    AUTH,
    OLD_SECRET,
    SECRET,
    Organisation,
    caller,
    installation,
)
from tests.functions.support import assert_refusal
from tests.store.support import execute

INVITES, ACCEPT = f"{AUTH}/invites", f"{AUTH}/accept-invite"
BOB = "bob@example.test"


@pytest.fixture
def url(database: TestDatabase, apis: dict[str, Api]) -> Iterator[str]:
    with installation(apis, database) as running:
        yield running


@pytest.fixture
def organisation(database: TestDatabase) -> Organisation:
    return Organisation(database)


@pytest.fixture
def admin(url: str, organisation: Organisation) -> Iterator[httpx.Client]:
    with caller(url, organisation.key()) as client:
        yield client


def token_of(
    database: TestDatabase, invitation: str | UUID, secret: str = SECRET, **changes: Any
) -> str:
    """The token that the mail has."""
    query = "select id, org_id, email, created_at, expires_at from invitations where id = %s"
    [row] = execute(database.owner, query, invitation)
    fields = ("subject", "org_id", "email", "issued_at", "expires_at")
    claims = dict(zip(fields, row, strict=True)) | changes
    return tokens.make(tokens.INVITATION, Claims(**claims), secret)


def accept(url: str, token: str) -> httpx.Response:
    with caller(url) as client:
        return client.post(ACCEPT, json={"token": token})


def members(organisation: Organisation) -> int:
    query = "select count(*) from memberships where org_id = %s"
    return int(execute(organisation.database.owner, query, organisation.id)[0][0])


def test_an_invitation_is_made_and_accepted(
    url: str, admin: httpx.Client, organisation: Organisation
) -> None:
    answer = admin.post(INVITES, json={"email": BOB})
    assert answer.status_code == 201
    made = answer.json()
    assert made["token"] is None
    invitation = made["invitation"]
    assert (invitation["status"], invitation["role"]) == ("pending", "member")
    assert invitation["org_name"] == organisation.name
    assert invitation["invited_by"] == admin.get(f"{AUTH}/status").json()["user"]["email"]
    life = datetime.fromisoformat(invitation["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6) < life <= timedelta(days=7)

    joined = accept(url, token_of(organisation.database, invitation["id"]))
    assert joined.status_code == 201
    assert joined.json()["role"] == "member"
    assert joined.json()["organization"]["id"] == str(organisation.id)
    with caller(url, joined.json()["api_key"]) as bob:
        status = bob.get(f"{AUTH}/status").json()
        assert (status["user"]["email"], status["verified"]) == (BOB, True)
        assert_refusal(bob.post(INVITES, json={"email": "eve@example.test"}), "forbidden")
    assert [each["status"] for each in admin.get(INVITES).json()] == ["accepted"]


def test_an_admin_is_invited_as_one(url: str, admin: httpx.Client, database: TestDatabase) -> None:
    made = admin.post(INVITES, json={"email": BOB, "role": "admin"}).json()["invitation"]
    joined = accept(url, token_of(database, made["id"])).json()
    with caller(url, joined["api_key"]) as bob:
        assert bob.get(INVITES).status_code == 200


def test_a_member_is_not_invited(admin: httpx.Client, organisation: Organisation) -> None:
    member = organisation.member()
    answer = admin.post(INVITES, json={"email": member.email.upper()})
    assert_refusal(answer, "already_member", "email")
    assert admin.get(INVITES).json() == []


def test_a_second_invitation_takes_the_place_of_the_first(
    url: str, admin: httpx.Client, database: TestDatabase
) -> None:
    first, second = (
        admin.post(INVITES, json={"email": email}).json()["invitation"]["id"]
        for email in (BOB, BOB.upper())
    )
    shown = {each["id"]: each["status"] for each in admin.get(INVITES).json()}
    assert shown == {first: "revoked", second: "pending"}
    assert_refusal(accept(url, token_of(database, first)), "invitation_revoked", "token")
    assert accept(url, token_of(database, second)).status_code == 201


def test_invitations_at_once_leave_one_pending(url: str, organisation: Organisation) -> None:
    key = organisation.key()

    def invite(_: int) -> int:
        with caller(url, key) as client:
            return client.post(INVITES, json={"email": BOB}).status_code

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(invite, range(10))) == {201}
    query = "select status, count(*) from invitations group by status order by status"
    assert execute(organisation.database.owner, query) == [("pending", 1), ("revoked", 9)]


def test_invitations_come_in_pages(admin: httpx.Client, organisation: Organisation) -> None:
    for number in range(5):
        organisation.invitation(f"b{number}@example.test")
    path, seen = f"{INVITES}?limit=2", []
    while path:
        answer = admin.get(path)
        seen += [each["email"] for each in answer.json()]
        path = answer.links.get("next", {}).get("url", "")
    assert sorted(seen) == [f"b{number}@example.test" for number in range(5)]


def test_a_person_belongs_to_several_organisations(url: str, database: TestDatabase) -> None:
    keys = []
    for _ in range(2):
        there = Organisation(database)
        keys.append(accept(url, token_of(database, there.invitation(BOB))).json()["api_key"])
    seen = []
    for key in keys:
        with caller(url, key) as bob:
            seen.append(bob.get(f"{AUTH}/status").json())
    assert seen[0]["user"] == seen[1]["user"]
    assert seen[0]["organization"] != seen[1]["organization"]


def test_twenty_who_accept_at_once_are_one_member(url: str, organisation: Organisation) -> None:
    token = token_of(organisation.database, organisation.invitation(BOB))
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: accept(url, token), range(20)))
    assert sorted(answer.status_code for answer in answers) == [201, *[400] * 19]
    for answer in answers:
        if answer.status_code == 400:
            assert_refusal(answer, "invitation_used", "token")
    assert members(organisation) == 1


def test_a_revoked_invitation_is_of_no_use(
    url: str, admin: httpx.Client, organisation: Organisation
) -> None:
    id = organisation.invitation(BOB)
    for _ in range(2):
        assert admin.delete(f"{INVITES}/{id}").status_code == 204
    before = members(organisation)
    answer = accept(url, token_of(organisation.database, id))
    assert_refusal(answer, "invitation_revoked", "token")
    assert members(organisation) == before


def test_an_accepted_invitation_cannot_be_taken_back(
    url: str, admin: httpx.Client, organisation: Organisation
) -> None:
    id = organisation.invitation(BOB)
    accept(url, token_of(organisation.database, id))
    assert_refusal(admin.delete(f"{INVITES}/{id}"), "conflict")


@pytest.mark.parametrize("id", ["", "shop", "0" * 32, str(uuid4()), "%00", "..%2f"])
def test_what_is_no_invitation_is_not_found(admin: httpx.Client, id: str) -> None:
    assert admin.delete(f"{INVITES}/{id}").json()["code"] == "not_found"


def test_time_ends_an_invitation(url: str, admin: httpx.Client, organisation: Organisation) -> None:
    id = organisation.invitation(BOB)
    token = token_of(organisation.database, id)
    execute(organisation.database.owner, "update invitations set expires_at = now()")
    assert [each["status"] for each in admin.get(INVITES).json()] == ["expired"]
    assert_refusal(accept(url, token), "token_expired", "token")
    assert_refusal(accept(url, token_of(organisation.database, id)), "token_expired", "token")
    # Its place is free, and a new one is not disturbed by it.
    assert admin.post(INVITES, json={"email": BOB}).status_code == 201


def test_what_is_no_token_of_ours_makes_no_account(url: str, organisation: Organisation) -> None:
    database, other = organisation.database, Organisation(organisation.database)
    id = organisation.invitation(BOB)
    good = token_of(database, id)
    [(issued, expires)] = execute(
        database.owner, "select created_at, expires_at from invitations where id = %s", id
    )
    claims = Claims(id, organisation.id, BOB, issued, expires)
    bad = [
        token_of(database, id, email="eve@evil.test"),
        token_of(database, id, org_id=other.id),
        token_of(database, id, subject=uuid4()),
        token_of(database, id, "x" * 32),
        tokens.make(tokens.PROOF_OF_ADDRESS, claims, SECRET),
        *(good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in (5, 60, -5)),
        *("", "a.b.c", "\x00", "a" * 4096),
    ]
    users = "select count(*) from users"
    before = execute(database.owner, users)
    for token in bad:
        assert_refusal(accept(url, token), "invalid_token", "token")
    assert members(organisation) == 0
    assert execute(database.owner, users) == before
    assert accept(url, good).status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "bob"}, "email"),
        ({"email": "bob@example.test\r\nBcc: eve@evil.test"}, "email"),
        ({"email": BOB, "role": "deploy"}, "role"),
        ({"email": BOB, "role": "owner"}, "role"),
        ({"email": BOB, "org_id": "1"}, "org_id"),
    ],
)
def test_an_invitation_that_makes_no_sense_is_refused(
    admin: httpx.Client, body: dict[str, object], field: str
) -> None:
    assert_refusal(admin.post(INVITES, json=body), "invalid_field", field)


@pytest.mark.parametrize("token", [None, 5, "a" * 4097])
def test_a_token_of_a_wrong_form_is_refused(url: str, token: object) -> None:
    with caller(url) as client:
        answer = client.post(ACCEPT, json={"token": token})
    assert_refusal(answer, "invalid_field", "token")


def test_in_dev_mode_the_token_is_in_the_answer(http: httpx.Client) -> None:
    made = http.post(INVITES, json={"email": BOB}).json()
    joined = http.post(ACCEPT, json={"token": made["token"]})
    assert joined.status_code == 201
    assert joined.json()["organization"]["name"] == "dev"


def test_a_pending_invitation_survives_the_rotation_of_the_secret(
    database: TestDatabase, apis: dict[str, Api]
) -> None:
    token, later = (
        token_of(database, Organisation(database).invitation(BOB), OLD_SECRET) for _ in range(2)
    )
    with installation(apis, database, secret_keys=(SECRET, OLD_SECRET)) as url:
        assert accept(url, token).status_code == 201
    with installation(apis, database) as url:
        assert_refusal(accept(url, later), "invalid_token", "token")


def test_who_has_not_proven_an_address_invites_few(url: str, organisation: Organisation) -> None:
    member = organisation.member(Role.ADMIN, is_verified=False)
    with caller(url, member.key()) as client:
        for number in range(5):
            answer = client.post(INVITES, json={"email": f"b{number}@example.test"})
            assert answer.status_code == 201
        answer = client.post(INVITES, json={"email": BOB})
        assert_refusal(answer, "too_many_requests")
        assert 86000 < int(answer.headers["Retry-After"]) <= 86400

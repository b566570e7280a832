"""`maxcloud auth` and `invite` as a process, against the real functions with real keys."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maxcloud import tokens
from maxcloud.http import Api
from maxcloud.roles import Role
from maxcloud.tokens import Claims
from tests.cli.conftest import Maxcloud, against
from tests.conftest import TestDatabase
from tests.functions.people import SECRET, Organisation, installation
from tests.store.support import execute

REGISTER = ("auth", "register", "--email", "ada@example.test", "--org", "Analytical Engines")


@pytest.fixture
def url(database: TestDatabase, apis: dict[str, Api]) -> Iterator[str]:
    with installation(apis, database) as running:
        yield running


@pytest.fixture
def maxcloud(url: str, tmp_path: Path) -> Maxcloud:
    return against(url, tmp_path / "config")


def errors(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith(("Error", "Hint"))]


def test_registering_keeps_a_profile_that_the_next_command_uses(
    maxcloud: Maxcloud, tmp_path: Path
) -> None:
    done = maxcloud(*REGISTER)
    assert (done.code, done.out) == (0, "registered Analytical Engines for ada@example.test\n")
    assert "mc_" not in done.out + done.err
    assert (tmp_path / "config/maxcloud/credentials").stat().st_mode & 0o777 == 0o600

    status = maxcloud("auth", "status")
    assert status.code == 0
    assert re.search(r"^Organisation: +Analytical Engines$", status.out, re.MULTILINE)
    assert "ada@example.test (not proven yet)" in status.out
    assert maxcloud("list").code == 0

    refused = maxcloud("deploy", "nginx", "--name", "shop")
    assert refused.code == 1
    assert errors(refused.err) == [
        "Error: prove your e-mail address first, by the token that was mailed",
        "Hint: `maxcloud auth verify TOKEN`, as the mail says",
    ]


def test_what_is_taken_says_what_to_do(maxcloud: Maxcloud) -> None:
    maxcloud(*REGISTER)
    again = maxcloud(*REGISTER[:-1], "Another")
    assert again.code == 1
    assert errors(again.err) == [
        "Error: this address has an account already",
        "Hint: ask a member for an invitation, or `maxcloud auth login`",
    ]
    wrong = maxcloud("auth", "register", "--email", "ada", "--org", "A")
    assert wrong.code == 2
    assert "--email" in wrong.err


def test_without_a_key_the_hint_says_how_to_get_one(maxcloud: Maxcloud) -> None:
    done = maxcloud("list")
    assert done.code == 1
    assert errors(done.err)[0] == "Error: authentication required"
    assert "maxcloud auth register" in errors(done.err)[1]


def test_logging_in_keeps_a_good_key_and_no_other(
    maxcloud: Maxcloud, database: TestDatabase
) -> None:
    organisation = Organisation(database, "Acme")
    key = organisation.key()
    wrong = maxcloud("auth", "login", stdin="mc_wrong\n")
    assert wrong.code == 1
    assert "does not take this key" in errors(wrong.err)[0]
    assert "maxcloud auth register" in errors(wrong.err)[1]
    assert maxcloud("auth", "login", stdin="\n").code == 2
    assert json.loads(maxcloud("auth", "switch", "-o", "json").out) == []
    assert maxcloud("auth", "login", stdin=f"{key}\n").code == 0
    listed = maxcloud("auth", "switch", "-o", "json")
    [profile] = json.loads(listed.out)
    assert profile["organisation"] == "Acme"
    assert key not in listed.out
    assert maxcloud("list").code == 0
    assert maxcloud("auth", "logout").code == 0
    assert maxcloud("list").code == 1
    assert maxcloud("auth", "logout").code == 1


def test_profiles_are_switched_and_chosen(maxcloud: Maxcloud, database: TestDatabase) -> None:
    for name in ("Acme", "Beta"):
        maxcloud("auth", "login", stdin=Organisation(database, name).key())

    def organisation(*words: str, **env: str) -> str:
        shown = json.loads(maxcloud("auth", "status", "-o", "json", *words, **env).out)
        return str(shown["organization"]["name"])

    names = maxcloud("auth", "switch", "--quiet").out.splitlines()
    assert [name.partition("@")[0] for name in names] == ["beta", "acme"]
    assert organisation() == "Beta"
    assert organisation("--profile", names[1]) == "Acme"
    assert organisation(MAXCLOUD_PROFILE=names[1]) == "Acme"
    assert maxcloud("auth", "switch", names[1]).out == f"{names[1]}\n"
    assert organisation() == "Acme"
    unknown = maxcloud("auth", "switch", "gamma")
    assert (unknown.code, errors(unknown.err)[0]) == (2, "Error: there is no profile gamma")


def test_keys_are_made_listed_and_deleted(maxcloud: Maxcloud) -> None:
    maxcloud(*REGISTER)
    made = maxcloud("auth", "api-keys", "create", "--name", "ci", "--role", "read")
    key = made.out.strip()
    assert (made.code, key[:3]) == (0, "mc_")
    table = maxcloud("auth", "api-keys").out.splitlines()
    assert table[0].split()[:4] == ["ID", "NAME", "KEY", "ROLE"]
    assert len(table) == 3
    assert maxcloud("list", MAXCLOUD_API_KEY=key).code == 0
    denied = maxcloud("invite", "list", MAXCLOUD_API_KEY=key)
    assert errors(denied.err)[0] == "Error: this needs the role admin, your key has read"

    admin, ci = json.loads(maxcloud("auth", "api-keys", "-o", "json").out)
    assert maxcloud("auth", "api-keys", "delete", ci["id"]).out == f"deleted {ci['id']}\n"
    assert errors(maxcloud("list", MAXCLOUD_API_KEY=key).err)[0] == "Error: authentication required"
    missing = maxcloud("auth", "api-keys", "delete", ci["id"])
    assert errors(missing.err)[0] == "Error: no such API key"

    last = maxcloud("auth", "api-keys", "delete", admin["id"])
    assert (last.code, errors(last.err)[1]) == (
        *(1, "Hint: `maxcloud auth api-keys create`, or --force"),
    )
    forced = maxcloud("auth", "api-keys", "delete", admin["id"], "--force")
    assert forced.code == 0
    assert forced.err == "Warning: nobody can invite or make admin keys any more.\n"
    assert maxcloud("auth", "status").code == 1


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("auth", "api-keys", "create", "--name", "ci", "--role", "owner"), "--role"),
        (("auth", "api-keys", "create", "--name", "ci", "--expires-in-days", "0"), "--expires"),
        (("auth", "api-keys", "create", "--name", ""), "--name"),
        (("invite", "create", "--email", "bob"), "--email"),
        (("invite", "create", "--email", "bob@b.test", "--role", "deploy"), "--role"),
        (("auth", "register", "--email", "a@b.test", "--org", " "), "--org"),
    ],
)
def test_a_wrong_option_is_named_before_anything_is_sent(
    words: tuple[str, ...], option: str
) -> None:
    done = against("http://127.0.0.1:9")(*words)
    assert done.code == 2
    assert option in done.err


def test_a_person_is_invited_and_joins_from_a_home_of_their_own(
    maxcloud: Maxcloud, database: TestDatabase, url: str, tmp_path: Path
) -> None:
    maxcloud("auth", "login", stdin=Organisation(database, "Acme").key())
    invited = maxcloud("invite", "create", "--email", "bob@example.test")
    assert invited.out.startswith("invited bob@example.test as member, until 20")
    [invitation] = json.loads(maxcloud("invite", "list", "-o", "json").out)
    query = "select id, org_id, email, created_at, expires_at from invitations"
    [row] = execute(database.owner, query)
    token = tokens.make(tokens.INVITATION, Claims(*row), SECRET)

    bob = against(url, tmp_path / "bob")
    joined = bob("invite", "accept", f" {token}\n")
    assert (joined.code, joined.out) == (0, "you are member of Acme\n")
    assert bob("list").code == 0
    assert bob("invite", "create", "--email", "eve@example.test").code == 1
    again = bob("invite", "accept", token)
    assert errors(again.err)[0] == "Error: this invitation was accepted already"

    lines = maxcloud("invite", "list").out.splitlines()
    assert lines[1].split()[:4] == [invitation["id"], "bob@example.test", "member", "accepted"]
    second = maxcloud("invite", "create", "--email", "eve@example.test", "--quiet").out.strip()
    assert maxcloud("invite", "revoke", second).out == f"revoked {second}\n"
    execute(database.owner, "update invitations set mail_error = 'no such mailbox'")
    assert "no such mailbox" in maxcloud("invite", "list").out


def test_an_address_is_proven(maxcloud: Maxcloud, database: TestDatabase) -> None:
    member = Organisation(database).member(Role.ADMIN, is_verified=False)
    now = datetime.now(UTC)
    later = now.replace(year=now.year + 1)
    claims = Claims(member.id, member.organisation.id, member.email, now, later)
    token = tokens.make(tokens.PROOF_OF_ADDRESS, claims, SECRET)
    assert maxcloud("auth", "verify", token).out == "your address is proven; you can deploy now\n"
    bad = maxcloud("auth", "verify", token[:-3])
    assert errors(bad.err)[1] == "Hint: copy the whole token from the newest mail"


def test_a_key_that_cannot_be_kept_is_shown(url: str, tmp_path: Path) -> None:
    (tmp_path / "config/maxcloud/credentials.lock").mkdir(parents=True)
    done = against(url, tmp_path / "config")(*REGISTER)
    assert done.code == 1
    assert re.search(
        r"Note it down, it is shown this once: mc_[a-z2-7_]{72}$", done.err, re.MULTILINE
    )

"""The function `mailer`: what goes out, when it does not, and that it goes out once."""

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from maxcloud import tokens
from maxcloud.http import Api
from maxcloud.store.database import Database
from tests.conftest import FUNCTIONS, TestDatabase, dev_config, served
from tests.functions.people import (
    AUTH,
    OLD_SECRET,
    SECRET,
    Organisation,
    caller,
    installation,
    production,
)
from tests.functions.test_runtime import RUNTIME, environment, wait_for
from tests.ports import free_port
from tests.postal import RESEND_KEY, Resend, resend
from tests.store.support import execute

BOB = "bob@example.test"
INVITED, REGISTERED = "dev.maxcloud.invite-created", "dev.maxcloud.user-registered"
PING = "dev.knative.sources.ping"

Serve = Callable[..., Any]


@pytest.fixture
def post() -> Iterator[Resend]:
    with resend() as running:
        yield running


@pytest.fixture
def serve(apis: dict[str, Api], database: TestDatabase, post: Resend) -> Serve:
    """Serve the mailer, with Resend if no other settings are said."""

    @contextmanager
    def serving(**settings: object) -> Iterator[httpx.Client]:
        through = {"resend_api_key": RESEND_KEY, "resend_api_url": post.url}
        make = dev_config if settings.get("dev_mode") else production
        db = Database(database.worker)
        app = apis["mailer"].build(make(**(settings or through)), db)
        with served(app, after=db.close) as url, httpx.Client(base_url=url, timeout=60) as client:
            yield client

    return serving


def tell(client: httpx.Client, type: str, id: UUID | str, org_id: UUID | str) -> int:
    """Deliver an event and return what the mailer answers."""
    data = None if type == PING else {"id": str(id), "org_id": str(org_id)}
    headers = {
        "ce-specversion": "1.0",
        "ce-id": f"{id}:1:{type}",
        "ce-source": "/test",
        "ce-type": type,
        "content-type": "application/json",
    }
    answer = client.post("/", headers=headers, content=json.dumps(data))
    assert answer.content == b""
    return answer.status_code


def sweep(client: httpx.Client) -> int:
    return tell(client, PING, "sweep", "")


def state(database: TestDatabase, id: UUID) -> tuple[bool, str | None]:
    query = "select mail_sent_at is not null, mail_error from invitations where id = %s"
    [(is_sent, error)] = execute(database.owner, query, id)
    return is_sent, error


def test_an_invitation_is_mailed_in_two_languages_with_what_accepts_it(
    serve: Serve, post: Resend, database: TestDatabase
) -> None:
    organisation = Organisation(database, "Müller & <b>Söhne</b>")
    id = organisation.invitation(BOB)
    with serve() as mailer:
        assert tell(mailer, INVITED, id, organisation.id) == 204
    [(key, mail)] = post.messages.items()
    assert key == f"invitation-{id}"
    assert (mail["to"], mail["from"]) == (BOB, "noreply@maxcloud.dev")
    assert "Einladung zu Müller" in mail["subject"]
    assert "Invitation to Müller" in mail["subject"]
    [token] = {word for word in mail["text"].split() if word.count(".") == 2 and len(word) > 200}
    assert tokens.read(tokens.INVITATION, token, [SECRET]) == (id, organisation.id, BOB)
    command = f"maxcloud --api-url https://api.maxcloud.dev invite accept {token}"
    assert mail["text"].count(command) == mail["html"].count(command) == 2
    link = f"https://api.maxcloud.dev/api/v1/auth/accept-invite#{token}"
    assert mail["text"].count(link) == mail["html"].count(f'href="{link}"') == 2
    assert "lädt dich ein" in mail["text"]
    assert "invites you" in mail["text"]
    assert "&lt;b&gt;Söhne" in mail["html"]
    assert "<b>" not in mail["html"]
    assert state(database, id) == (True, None)


def test_whoever_registers_is_asked_for_a_proof(
    serve: Serve, post: Resend, database: TestDatabase, apis: dict[str, Api]
) -> None:
    with installation(apis, database) as url, caller(url) as anybody:
        body = {"email": BOB, "org_name": "Bob's"}
        made = anybody.post(f"{AUTH}/register", json=body).json()
        user, org = made["user"]["id"], made["organization"]["id"]
        with serve() as mailer:
            assert tell(mailer, REGISTERED, user, org) == 204
            assert tell(mailer, REGISTERED, user, org) == 204
        [(_, mail)] = post.attempts
        [line] = {line.strip() for line in mail["text"].splitlines() if " auth verify " in line}
        token = line.rpartition(" ")[2]
        assert anybody.post(f"{AUTH}/verify", json={"token": token}).status_code == 204


@pytest.mark.parametrize("registration", ["open", "closed"])
def test_no_proof_is_asked_for_where_none_is_wanted(
    serve: Serve, post: Resend, database: TestDatabase, registration: str
) -> None:
    member = Organisation(database).member(is_verified=False)
    settings = {"resend_api_key": RESEND_KEY, "resend_api_url": post.url}
    with serve(registration=registration, **settings) as mailer:
        assert tell(mailer, REGISTERED, member.id, member.organisation.id) == 204
        assert sweep(mailer) == 204
    assert post.attempts == []


@pytest.mark.parametrize(
    "troubles",
    [
        [(500, "internal_server_error")] * 3,
        [(429, "rate_limit_exceeded"), (503, "unavailable"), (429, "daily_quota_exceeded")],
        [(409, "concurrent_idempotent_requests")] * 3,
    ],
)
def test_what_is_down_three_times_and_then_up_sends_one_message(
    serve: Serve, post: Resend, database: TestDatabase, troubles: list[tuple[int, str]]
) -> None:
    organisation = Organisation(database)
    id = organisation.invitation(BOB)
    post.troubles = troubles.copy()
    with serve() as mailer:
        answers = [tell(mailer, INVITED, id, organisation.id) for _ in range(5)]
    assert answers == [503, 503, 503, 204, 204]
    assert len(post.attempts) == 4
    assert len({json.dumps(attempt) for attempt in post.attempts}) == 1
    assert len(post.messages) == 1
    assert state(database, id) == (True, None)


def test_what_went_out_under_another_secret_has_gone_out(
    serve: Serve, post: Resend, database: TestDatabase
) -> None:
    organisation = Organisation(database)
    id = organisation.invitation(BOB)
    settings = {"resend_api_key": RESEND_KEY, "resend_api_url": post.url}
    for secrets in ((OLD_SECRET,), (SECRET, OLD_SECRET)):
        with serve(secret_keys=secrets, **settings) as mailer:
            assert tell(mailer, INVITED, id, organisation.id) == 204
        # As if the first had died before it kept that the mail is out.
        if secrets == (OLD_SECRET,):
            execute(database.owner, "update invitations set mail_sent_at = null")
    first, second = post.attempts
    assert first[0] == second[0]
    assert first[1] != second[1]
    assert len(post.messages) == 1
    assert state(database, id) == (True, None)


def test_a_service_that_is_away_is_asked_again(serve: Serve, database: TestDatabase) -> None:
    organisation = Organisation(database)
    id = organisation.invitation(BOB)
    away = {"resend_api_key": RESEND_KEY, "resend_api_url": f"http://127.0.0.1:{free_port()}"}
    for settings in (away, {"smtp_url": f"smtp://127.0.0.1:{free_port()}"}):
        with serve(**settings) as mailer:
            assert tell(mailer, INVITED, id, organisation.id) == 503
    assert state(database, id) == (False, None)


def test_a_refusal_is_kept_and_shown_and_not_repeated(
    serve: Serve, post: Resend, database: TestDatabase, apis: dict[str, Api]
) -> None:
    organisation = Organisation(database)
    id = organisation.invitation(BOB)
    post.troubles = [(422, "validation_error")]
    with serve() as mailer:
        assert tell(mailer, INVITED, id, organisation.id) == 204
        assert tell(mailer, INVITED, id, organisation.id) == 204
        assert sweep(mailer) == 204
    assert len(post.attempts) == 1
    with installation(apis, database) as url, caller(url, organisation.key()) as admin:
        [shown] = admin.get(f"{AUTH}/invites").json()
    assert shown["mail_error"] == "Resend answered 422 (validation_error)"


def test_without_a_way_out_the_invitation_says_so(serve: Serve, database: TestDatabase) -> None:
    organisation = Organisation(database)
    id = organisation.invitation(BOB)
    with serve(resend_api_key="") as mailer:
        assert tell(mailer, INVITED, id, organisation.id) == 204
    sent, error = state(database, id)
    assert not sent
    assert error == "no mail can be sent: the operator must set RESEND_API_KEY or SMTP_URL"


def test_in_dev_mode_a_line_says_what_would_have_been_sent(
    serve: Serve, database: TestDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    organisation = Organisation(database)
    id = organisation.invitation(BOB)
    with serve(dev_mode=True) as mailer, caplog.at_level("DEBUG"):
        assert tell(mailer, INVITED, id, organisation.id) == 204
    assert f"one would have been sent to {BOB}" in caplog.text
    assert "eyJ" not in caplog.text
    assert state(database, id) == (True, None)


@pytest.mark.parametrize("status", ["accepted", "revoked", "expired"])
def test_who_is_not_waited_for_gets_no_mail(
    serve: Serve, post: Resend, database: TestDatabase, status: str
) -> None:
    organisation = Organisation(database)
    id = organisation.invitation(BOB)
    late = organisation.invitation()
    execute(database.owner, "update invitations set status = %s where id = %s", status, id)
    execute(database.owner, "update invitations set expires_at = now() where id = %s", late)
    with serve() as mailer:
        for each in (id, late):
            assert tell(mailer, INVITED, each, organisation.id) == 204
        assert sweep(mailer) == 204
    assert post.attempts == []


def test_a_hint_that_names_another_organisation_finds_nothing(
    serve: Serve, post: Resend, database: TestDatabase
) -> None:
    id = Organisation(database).invitation(BOB)
    with serve() as mailer:
        assert tell(mailer, INVITED, id, Organisation(database).id) == 204
        assert tell(mailer, "dev.maxcloud.org-created", id, id) == 400
    assert post.attempts == []


def test_fifty_at_once_are_fifty_messages(
    serve: Serve, post: Resend, database: TestDatabase
) -> None:
    organisation = Organisation(database)
    ids = [organisation.invitation(f"b{number}@example.test") for number in range(50)]
    with serve() as mailer, ThreadPoolExecutor(25) as pool:

        def until_handled(id: UUID) -> int:
            return next(
                attempt
                for attempt in range(1, 10)
                if tell(mailer, INVITED, id, organisation.id) == 204
            )

        # Each event twice, and the sweep meanwhile.
        swept = pool.submit(sweep, mailer)
        list(pool.map(until_handled, [*ids, *ids]))
        assert swept.result() in {204, 503}
    assert {mail["to"] for mail in post.messages.values()} == {
        f"b{number}@example.test" for number in range(50)
    }
    assert len(post.attempts) == 50
    assert {state(database, id) for id in ids} == {(True, None)}


def test_the_sweep_sends_what_no_event_led_to(
    serve: Serve, post: Resend, database: TestDatabase
) -> None:
    organisation = Organisation(database)
    ids = [organisation.invitation() for _ in range(3)]
    organisation.member(is_verified=False)
    with serve() as mailer:
        assert sweep(mailer) == 204
        assert sweep(mailer) == 204
    assert len(post.attempts) == len(post.messages) == 4
    assert {state(database, id) for id in ids} == {(True, None)}


def test_a_letter_that_cannot_go_yet_holds_up_no_other(
    serve: Serve, post: Resend, database: TestDatabase
) -> None:
    organisation = Organisation(database)
    ids = [organisation.invitation() for _ in range(5)]
    post.troubles = [(500, "application_error")]
    with serve() as mailer:
        assert sweep(mailer) == 503
        assert len(post.messages) == 4
        assert sweep(mailer) == 204
    assert len(post.messages) == 5
    assert {state(database, id) for id in ids} == {(True, None)}


def test_a_sweep_does_not_insist_on_a_server_that_is_away(
    serve: Serve, post: Resend, database: TestDatabase
) -> None:
    organisation = Organisation(database)
    for _ in range(10):
        organisation.invitation()
    post.troubles = [(503, "unavailable")] * 10
    with serve() as mailer:
        assert sweep(mailer) == 503
    assert len(post.attempts) == 3


def test_no_proof_is_asked_for_by_a_token_that_is_too_old(
    serve: Serve, post: Resend, database: TestDatabase
) -> None:
    member = Organisation(database).member(is_verified=False)
    execute(database.owner, "update memberships set created_at = now() - interval '31 days'")
    with serve() as mailer:
        assert tell(mailer, REGISTERED, member.id, member.organisation.id) == 204
        assert sweep(mailer) == 204
    assert post.attempts == []


def test_who_dies_after_the_message_and_before_the_row_repeats_the_same_message(
    post: Resend, database: TestDatabase
) -> None:
    organisation = Organisation(database)
    id = organisation.invitation(BOB)
    answers: list[int | str] = []
    for attempt in range(2):
        port = free_port()
        process = subprocess.Popen(
            RUNTIME,
            env=environment(
                PORT=str(port),
                FUNCTION_TARGET="mailer",
                FUNCTION_SOURCE=str(FUNCTIONS / "mailer.py"),
                DATABASE_URL=database.worker,
                SECRET_KEY=SECRET,
                DEV_MODE="false",
                RESEND_API_KEY=RESEND_KEY,
                RESEND_API_URL=post.url,
            ),
            stdout=subprocess.PIPE,
            text=True,
        )
        # While it waits for Resend's answer to the first attempt, it is killed.
        post.taken = process.kill if attempt == 0 else lambda: None
        try:
            wait_for(process, port)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as mailer:
                answers.append(tell(mailer, INVITED, id, organisation.id))
        except httpx.HTTPError as error:
            answers.append(type(error).__name__)
            assert process.wait(10) == -9
            assert state(database, id) == (False, None)
        finally:
            process.kill()
            process.communicate()
    assert answers[1] == 204
    assert [key for key, _ in post.attempts] == [f"invitation-{id}"] * 2
    assert post.attempts[0] == post.attempts[1]
    assert len(post.messages) == 1
    assert state(database, id) == (True, None)

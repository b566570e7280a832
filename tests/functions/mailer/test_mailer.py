"""What goes out for which event, and when nothing does."""

import pytest

from maxcloud import tokens
from maxcloud.http import Api
from tests.conftest import TestDatabase
from tests.functions.mailer.telling import BOB, INVITED, REGISTERED, Serve, state, sweep, tell
from tests.functions.people import AUTH, SECRET, Organisation, caller, installation
from tests.postal import RESEND_KEY, Resend
from tests.store.support import execute


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


def test_no_proof_is_asked_for_by_a_token_that_is_too_old(
    serve: Serve, post: Resend, database: TestDatabase
) -> None:
    member = Organisation(database).member(is_verified=False)
    execute(database.owner, "update memberships set created_at = now() - interval '31 days'")
    with serve() as mailer:
        assert tell(mailer, REGISTERED, member.id, member.organisation.id) == 204
        assert sweep(mailer) == 204
    assert post.attempts == []

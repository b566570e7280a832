"""The function `mailer` with a mail server of the operator's own."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from maxcloud.store.database import TRANSACTION_SECONDS
from maxcloud_local.kubernetes.access import make_access
from tests.conftest import TestDatabase
from tests.functions.mailer.telling import BOB, INVITED, Serve, state, tell
from tests.functions.people import Organisation
from tests.postal import smtp


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS for loopback, and the file of who vouches for it."""
    access = make_access(tmp_path)
    authority = tmp_path / "authority.pem"
    authority.write_bytes(access.certificate)
    return access.tls, authority


@pytest.mark.parametrize("way", ["smtp", "smtp and login", "smtps and login", "without TLS"])
def test_a_mail_server_of_the_operators_own_takes_the_letter(
    serve: Serve,
    database: TestDatabase,
    certificate: tuple[ssl.SSLContext, Path],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    tls, authority = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    organisation = Organisation(database, "Söhne")
    id = organisation.invitation(BOB)
    login = ("us@x", "p@ss/word") if "login" in way else None
    options: dict[str, Any] = {"login": login, "from_the_start": "smtps" in way}
    with smtp(None if way == "without TLS" else tls, **options) as (box, place):
        scheme, user = way.partition(" ")[0], "us%40x:p%40ss%2Fword@" if login else ""
        scheme = "smtp" if way == "without TLS" else scheme
        with serve(smtp_url=f"{scheme}://{user}{place}", email_from="us@example.eu") as mailer:
            assert tell(mailer, INVITED, id, organisation.id) == 204
    [mail] = box.received
    assert (mail["To"], mail["From"]) == (BOB, "us@example.eu")
    assert mail["Subject"] == "Einladung zu Söhne / Invitation to Söhne"
    assert mail["Message-ID"] == f"<invitation-{id}@example.eu>"
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    assert state(database, id) == (True, None)


def test_a_password_is_not_sent_in_the_open(serve: Serve, database: TestDatabase) -> None:
    organisation = Organisation(database)
    id = organisation.invitation(BOB)
    with smtp() as (box, place), serve(smtp_url=f"smtp://us:secret@{place}") as mailer:
        assert tell(mailer, INVITED, id, organisation.id) == 503
    assert box.received == []


@pytest.mark.parametrize(("refusal", "answer"), [("550 no such mailbox", 204), ("450 later", 503)])
def test_a_mail_server_refuses_for_good_or_for_now(
    serve: Serve, database: TestDatabase, refusal: str, answer: int
) -> None:
    organisation = Organisation(database)
    id = organisation.invitation(BOB)
    with smtp() as (box, place), serve(smtp_url=f"smtp://{place}") as mailer:
        box.refusal = refusal
        assert tell(mailer, INVITED, id, organisation.id) == answer
    error = "the mail server answered 550: no such mailbox" if answer == 204 else None
    assert state(database, id) == (False, error)


def test_a_mail_server_that_takes_its_time_gets_one_letter(
    serve: Serve, database: TestDatabase
) -> None:
    organisation = Organisation(database)
    id = organisation.invitation(BOB)
    with smtp() as (box, place), serve(smtp_url=f"smtp://{place}") as mailer:
        box.pause = TRANSACTION_SECONDS + 0.5
        assert tell(mailer, INVITED, id, organisation.id) == 204
        assert tell(mailer, INVITED, id, organisation.id) == 204
    assert len(box.received) == 1
    assert state(database, id) == (True, None)

"""That a mail goes out once, whatever happens on its way."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import httpx
import pytest

from tests.conftest import FUNCTIONS, TestDatabase
from tests.functions.mailer.telling import BOB, INVITED, Serve, state, sweep, tell
from tests.functions.people import OLD_SECRET, SECRET, Organisation
from tests.functions.test_runtime import RUNTIME, environment, wait_for
from tests.ports import free_port
from tests.postal import RESEND_KEY, Resend
from tests.store.support import execute


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

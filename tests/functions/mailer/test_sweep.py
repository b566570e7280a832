"""What the timer's sweep sends, and what it leaves for the next one."""

from tests.conftest import TestDatabase
from tests.functions.mailer.telling import Serve, state, sweep
from tests.functions.people import Organisation
from tests.postal import Resend


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

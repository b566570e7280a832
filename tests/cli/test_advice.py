from typing import Any

import pytest
import typer

from maxcloud import errors
from maxcloud.client import ConnectionFailed, InvalidSetting, NoAnswer, NotTheAPI
from maxcloud.models import Service
from maxcloud_cli.advice import Advice, advice_for, lines
from maxcloud_cli.waiting import DeployFailed, StillGoing
from tests.cli import scripted


def failed(**changes: Any) -> DeployFailed:
    data = scripted.service(status="failed", ready_revision=None, **changes)
    return DeployFailed(Service.model_validate(data))


@pytest.mark.parametrize(
    ("error", "sentence", "in_hint", "exit_code"),
    [
        (
            errors.Unauthenticated("no key"),
            "authentication required",
            "`maxcloud auth register`",
            1,
        ),
        (errors.NameTaken("x"), "conflict: service name already exists", "another --name", 1),
        (errors.ServiceDeleting("shop is being deleted"), "shop is being deleted", "try again", 1),
        (errors.NotFound("there is no service x"), "there is no service x", "maxcloud list", 1),
        (errors.Forbidden("the key may only read"), "the key may only read", "role", 1),
        (errors.InvalidField("too many", field="env_vars.A"), "too many", "see --env", 2),
        (errors.RegistrationClosed("closed"), "closed", "ask a member for an invitation", 1),
        (errors.AlreadyMember("a member"), "a member", "`maxcloud auth login`", 1),
        (errors.InvitationUsed("used"), "used", "`maxcloud auth login`", 1),
        (errors.InvitationRevoked("revoked"), "revoked", "whoever invited you", 1),
        (errors.Conflict("accepted already"), "accepted already", "as it is now", 1),
        (errors.TooManyRequests("slow down", retry_after=7), "slow down", "in 7 seconds", 1),
        (errors.Unavailable("down"), "down", "in a moment", 1),
        (errors.InternalError("oh", request_id="r-1"), "oh", "request id r-1", 1),
        (NotTheAPI("a proxy", status_code=404), "a proxy", "--api-url", 1),
        (ConnectionFailed("cannot connect"), "cannot connect", "MAXCLOUD_API_URL", 1),
        (NoAnswer("lost"), "lost", "may have taken effect", 1),
        (InvalidSetting("no address"), "no address", "--api-url", 2),
        (typer.BadParameter("x", param_hint="--y"), "Invalid value for --y: x", "--help", 2),
        (StillGoing("deploy", "shop"), "the wait is over; the deploy of shop goes on", "shop", 3),
        (
            StillGoing("deploy", "shop", interrupted=True),
            "interrupted; the deploy of shop goes on",
            "`maxcloud describe shop`",
            130,
        ),
        (
            StillGoing("deploy", "shop", interrupted=True, accepted=False),
            "interrupted before the API answered about the deploy of shop",
            "whether it was accepted",
            130,
        ),
        (
            failed(reason="ImageNotFound", message="there is no nginx:x"),
            "shop failed (ImageNotFound): there is no nginx:x",
            "name and tag",
            1,
        ),
        (
            failed(reason="ExitCode137", message=""),
            "shop failed (ExitCode137): the platform gave no reason",
            "ended by itself",
            1,
        ),
        (
            failed(reason="New", message="one"),
            "shop failed (New): one",
            "`maxcloud describe shop`",
            1,
        ),
    ],
)
def test_advice(error: Exception, sentence: str, in_hint: str, exit_code: int) -> None:
    advice = advice_for(error)
    assert advice is not None
    assert (advice.sentence, advice.exit_code) == (sentence, exit_code)
    assert in_hint in advice.hint


def test_every_error_of_the_api_has_advice() -> None:
    def leaves(kind: type[errors.APIError]) -> list[type[errors.APIError]]:
        return [kind, *(leaf for child in kind.__subclasses__() for leaf in leaves(child))]

    for kind in leaves(errors.APIError):
        advice = advice_for(kind("something"))
        assert advice is not None
        assert advice.hint


def test_a_mistake_of_ours_is_not_explained_away() -> None:
    assert advice_for(KeyError("x")) is None


def test_a_failed_deploy_shows_the_log_and_what_still_serves() -> None:
    error = failed(reason="ExitCode1", message="exit code 1\nlast\x1b[1m words")
    served = error.service.model_copy(update={"ready_revision": "shop-00001"})
    advice = advice_for(DeployFailed(served))
    assert advice is not None
    assert lines(advice)[:-1] == [
        "Error: shop failed (ExitCode1): exit code 1",
        "  last\N{REPLACEMENT CHARACTER}[1m words",
        "  shop-00001 still serves.",
    ]


def test_a_service_that_is_deleted_meanwhile_did_not_fail() -> None:
    service = Service.model_validate(scripted.service(status="deleting"))
    advice = advice_for(DeployFailed(service))
    assert advice is not None
    assert advice.sentence == "shop is being deleted"


def test_lines_without_a_hint() -> None:
    assert lines(Advice("broken")) == ["Error: broken"]

import io
from typing import Any

import pytest

from maxcloud.models import Service
from maxcloud_cli.progress import Progress, Step, awaited, steps_reached
from tests.cli import scripted

ACCEPTED = Step("accepted")
RESOLVED = Step("image resolved")
INSTANCE = Step("first instance started")
READY = Step("ready")


def created(name: str) -> Step:
    return Step("revision created", name)


def service(**changes: Any) -> Service:
    return Service.model_validate(scripted.service(**changes))


def pending(reason: str, **changes: Any) -> Service:
    return Service.model_validate(scripted.pending(reason, **changes))


@pytest.mark.parametrize(
    ("now", "steps", "next_is"),
    [
        (pending("Accepted"), [ACCEPTED], "the image"),
        (
            pending("ImageResolved", message=f"nginx@{scripted.DIGEST}"),
            [ACCEPTED, Step("image resolved", "sha256:1a2b3c4d5e6f")],
            "the revision",
        ),
        (
            pending("RevisionCreated", latest_revision="shop-00001"),
            [ACCEPTED, RESOLVED, created("shop-00001")],
            "the first instance",
        ),
        (
            pending("InstanceStarted", latest_revision="shop-00001"),
            [ACCEPTED, RESOLVED, created("shop-00001"), INSTANCE],
            "the URL",
        ),
        (service(), [ACCEPTED, RESOLVED, created("shop-00001"), INSTANCE, READY], ""),
        (pending("AReasonOfANewerAPI"), [ACCEPTED], "the image"),
        (pending(""), [ACCEPTED], "the image"),
        (
            service(status="failed", reason="ImageNotFound"),
            [ACCEPTED, Step("failed", "ImageNotFound", failed=True)],
            "",
        ),
    ],
)
def test_the_steps_behind_a_new_service(now: Service, steps: list[Step], next_is: str) -> None:
    assert steps_reached(now) == steps
    assert awaited(now) == next_is


@pytest.mark.parametrize(
    ("now", "steps"),
    [
        (service(latest_revision="shop-00001"), [ACCEPTED, RESOLVED, READY]),
        (
            pending("RevisionCreated", latest_revision="shop-00001"),
            [ACCEPTED, RESOLVED],
        ),
        (
            service(latest_revision="shop-00002"),
            [ACCEPTED, RESOLVED, created("shop-00002"), INSTANCE, READY],
        ),
    ],
)
def test_a_change_that_makes_no_revision_claims_none(now: Service, steps: list[Step]) -> None:
    assert steps_reached(now, "shop-00001") == steps


def on(encoding: str, *, terminal: bool = False) -> io.TextIOWrapper:
    class Stream(io.TextIOWrapper):
        def isatty(self) -> bool:
            return terminal

    return Stream(io.BytesIO(), encoding=encoding, newline="\n")


def written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


def shown(stream: io.TextIOWrapper, *, quiet: bool = False) -> str:
    with Progress("Deploying shop", quiet=quiet, stream=stream) as progress:
        progress.show([ACCEPTED], "the image")
        progress.show([ACCEPTED, created("shop-00001")], "the first instance")
        progress.show([ACCEPTED, Step("failed", "ExitCode1", failed=True)])
    return written(stream)


def test_each_step_is_a_line_of_its_own_once() -> None:
    assert shown(on("utf-8")).splitlines() == [
        "Deploying shop",
        "  ✓ accepted                 0.0 s",
        "  ✓ revision created         0.0 s  shop-00001",
        "  ✗ failed                   0.0 s  ExitCode1",
    ]


def test_marks_are_ascii_where_the_encoding_is() -> None:
    assert shown(on("ascii")).splitlines()[1:] == [
        "  + accepted                 0.0 s",
        "  + revision created         0.0 s  shop-00001",
        "  x failed                   0.0 s  ExitCode1",
    ]


def test_a_terminal_has_a_live_line_that_does_not_stay() -> None:
    text = shown(on("utf-8", terminal=True))
    wipe = "\r\x1b[2K"
    assert f"  … waiting for the image (0 s){wipe}" in text
    assert f"  … waiting for the first instance (0 s){wipe}" in text
    assert "waiting" not in text.rsplit(wipe, 1)[1]
    assert "waiting" not in shown(on("utf-8"))


def test_quiet_shows_nothing() -> None:
    assert shown(on("utf-8", terminal=True), quiet=True) == ""

"""What the commands for operators tell on their way, and how they wait."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from maxcloud_cli.platform.errors import JobFailed

WAIT_SECONDS = 300
PAUSE = 0.3


@dataclass(frozen=True)
class Change:
    """What would become of one object: `create`, `change`, `same`, `delete` or `give back`."""

    what: str
    kind: str
    name: str


@dataclass(frozen=True)
class Show:
    """Where progress is shown: what was reached, and what is waited for as long as it is."""

    reached: Callable[[str], None]
    waiting: Callable[[str], None]


def silently(what: str) -> None:
    """Show nothing of what is waited for."""


def wait(
    still: Callable[[], str],
    waiting: Callable[[str], None] = silently,
    seconds: float = WAIT_SECONDS,
) -> None:
    """Return when `still` has nothing more to name; raises JobFailed when that takes too long.

    `waiting` is called with what it names, again and again.
    """
    end = time.monotonic() + seconds
    while what := still():
        if time.monotonic() > end:
            raise JobFailed(f"after {seconds} s there is still to wait for {what}")
        waiting(what)
        time.sleep(PAUSE)

"""What an installation tells on its way, and how it waits."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from maxcloud_cli.platform.errors import JobFailed

WAIT_SECONDS = 300
PAUSE = 0.5


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


def wait(still: Callable[[], str], show: Show) -> None:
    """Return when `still` has nothing more to name; raises JobFailed when that takes too long."""
    end = time.monotonic() + WAIT_SECONDS
    while what := still():
        if time.monotonic() > end:
            raise JobFailed(f"after {WAIT_SECONDS} s there is still to wait for {what}")
        show.waiting(what)
        time.sleep(PAUSE)

"""Steps with their seconds, waits with their deadline, and the one error of a boot."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class BootError(Exception):
    """The cluster did not come up; the message says what, and which log to read.

    The caller may take the cluster down and try once more.
    """


class Steps:
    """Seconds by step, in the order in which the steps ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Say on standard error that a step begins and how long it took."""
        say(f"{name} ...")
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 1)
        say(f"{name}: {self.seconds[name]} s")

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.seconds, indent=2) + "\n")


def say(line: str) -> None:
    """Print a line of progress, kept off standard output."""
    print(f"cluster: {line}", file=sys.stderr, flush=True)


def wait_until(what: str, ready: Callable[[], bool], seconds: float, log: Path | str) -> None:
    """Ask `ready` until it says yes; after `seconds` raise BootError naming `what` and `log`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise BootError(f"{what} did not come up within {seconds:.0f} s; read {log}")
        time.sleep(0.2)

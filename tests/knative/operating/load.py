"""Requests at a steady pace while something happens, and what they were answered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.cluster.environment import GATEWAY
from tests.pace import at_pace


@dataclass
class Answers:
    """What a load was answered: how often each status or error, and after how long at most."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        said = ", ".join(f"{count} x {what}" for what, count in self.counts.items())
        return f"{said} in {self.seconds:.0f} s, the slowest after {self.slowest:.1f} s"


@contextmanager
def asked(path: str, host: str, per_second: int) -> Iterator[Answers]:
    """Ask at a steady pace, whatever the answers take, and count them by what they were."""
    answers = Answers()

    def ask() -> None:
        start = time.monotonic()
        try:
            answer = client.get(path, headers={"Host": host})
            answers.counts[str(answer.status_code)] += 1
        except httpx.HTTPError as error:
            answers.counts[type(error).__name__] += 1
        answers.slowest = max(answers.slowest, time.monotonic() - start)

    with (
        httpx.Client(base_url=GATEWAY, timeout=60) as client,
        at_pace(ask, per_second, at_once=64) as pace,
    ):
        yield answers
    answers.seconds = pace.seconds
    # A machine that is busy asks a little later, not a lot.
    assert answers.counts.total() > per_second * answers.seconds / 2

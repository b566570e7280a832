"""Requests at a steady pace while something happens, and what they were answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.cluster.environment import GATEWAY

# Ends a load that nobody ends.
SECONDS_MAX = 420


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
    over = threading.Event()

    def ask() -> None:
        start = time.monotonic()
        try:
            answer = client.get(path, headers={"Host": host})
            answers.counts[str(answer.status_code)] += 1
        except httpx.HTTPError as error:
            answers.counts[type(error).__name__] += 1
        answers.slowest = max(answers.slowest, time.monotonic() - start)

    def go_on() -> None:
        start = time.monotonic()
        while not over.wait(1 / per_second) and answers.seconds < SECONDS_MAX:
            answers.seconds = time.monotonic() - start
            pool.submit(ask)

    with (
        httpx.Client(base_url=GATEWAY, timeout=60) as client,
        ThreadPoolExecutor(max_workers=64) as pool,
    ):
        pace = threading.Thread(target=go_on)
        pace.start()
        try:
            yield answers
        finally:
            over.set()
            pace.join()
    assert answers.seconds < SECONDS_MAX
    # A machine that is busy asks a little later, not a lot.
    assert answers.counts.total() > per_second * answers.seconds / 2

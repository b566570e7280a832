"""How many instances a revision should have: Knative's pod autoscaler (KPA), kept small. Pure.

Sources: knative.dev/serving, pkg/autoscaler/scaling/autoscaler.go for the decision,
pkg/reconciler/autoscaling/kpa/scaler.go for zero, config/core/configmaps/autoscaler.yaml for the
numbers. Every time is in seconds of one clock that only goes forward.
"""

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

# container-concurrency-target-percentage and -default.
TARGET_SHARE = 0.7
TARGET_UNLIMITED = 100

# panic-window-percentage (of the stable window, at least a second) and panic-threshold-percentage.
PANIC_WINDOW_SHARE = 0.1
PANIC_THRESHOLD = 2

# stable-window, and what it may be (pkg/apis/autoscaling/register.go: WindowMin, WindowMax).
WINDOW_SECONDS = 60.0
WINDOW_LEAST_SECONDS, WINDOW_MOST_SECONDS = 6.0, 3600.0

# progress-deadline of config-deployment.
DEADLINE_SECONDS = 600.0

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a revision asks of its autoscaling; `most` 0 is no limit, `window` None the cluster's.

    `concurrency` is how many requests an instance takes at once (0: any number), `target` how many
    it should have on average, `first` how many instances a new revision needs to be ready.
    """

    concurrency: int
    target: float
    first: int
    least: int
    most: int
    window: float | None
    deadline: float


def rule_of(spec: Mapping[str, Any], annotations: Mapping[str, str], first: int = 1) -> Rule:
    """Return the rule of a revision; `first` is the cluster's `initial-scale`.

    What is missing has Knative's default.
    """
    concurrency = spec.get("containerConcurrency") or 0
    target = float(annotations.get("autoscaling.knative.dev/target", 0))
    target = target or concurrency or TARGET_UNLIMITED
    deadline = duration(annotations.get("serving.knative.dev/progress-deadline", ""))
    least = int(annotations.get("autoscaling.knative.dev/min-scale", 0))
    return Rule(
        concurrency=concurrency,
        # With a limit of its own, an instance is not asked for more than that.
        target=TARGET_SHARE * (min(target, concurrency) if concurrency else target),
        first=max(least, int(annotations.get("autoscaling.knative.dev/initial-scale", first))),
        least=least,
        most=int(annotations.get("autoscaling.knative.dev/max-scale", 0)),
        window=duration(annotations.get("autoscaling.knative.dev/window", "")),
        deadline=DEADLINE_SECONDS if deadline is None else deadline,
    )


def duration(text: str) -> float | None:
    """Return the seconds of a duration as Go writes it (`1m30s`), or None when it is none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


class Gauge:
    """How many requests there are, averaged over time, so that the shortest one counts."""

    def __init__(self, now: float) -> None:
        self.count = 0
        self._area = 0.0
        self._since = self._changed = now

    def add(self, requests: int, now: float) -> None:
        """Count requests that came, or, below zero, that went."""
        self._area += self.count * (now - self._changed)
        self._changed = now
        self.count += requests

    def read(self, now: float) -> float:
        """Return the average since the last reading; the number itself when no time has passed."""
        self.add(0, now)
        average = self._area / (now - self._since) if now > self._since else float(self.count)
        self._area, self._since = 0.0, now
        return average


class Autoscaler:
    """The readings of one revision, and what follows from them."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._readings: deque[tuple[float, float]] = deque()
        self._active_since = -math.inf
        self._panic_until = -math.inf
        self._panic_number = 0

    def activated(self, now: float) -> None:
        """Say that the first instance has become ready: it stays for one window at least."""
        self._active_since = now

    def observe(self, now: float, requests: float) -> None:
        """Keep a reading: how many requests there were on average, inside and waiting."""
        self._readings.append((now, requests))

    def forget(self) -> None:
        """Let what was seen so far ask for nothing any more."""
        self._readings.clear()
        self._panic_until = -math.inf

    def is_quiet(self) -> bool:
        """Tell whether no reading that still counts saw a request."""
        return not any(requests for _, requests in self._readings)

    def wanted(self, now: float, *, window: float, ready: int, waiting: int, least: int) -> int:
        """Return how many instances there should be, between `least` and the rule's most.

        The average over the stable window decides. Where the average over the panic window asks
        for twice the ready instances, it decides, and nothing goes down for a stable window; while
        none is ready, the requests that wait count at once. None is left only when there was no
        request for a whole window, nor an instance for less.
        """
        while self._readings and self._readings[0][0] <= now - window:
            self._readings.popleft()
        calm = self._number(self._average(now - window))
        if now < self._active_since + window:
            calm = max(calm, 1)
        surge = self._number(self._average(now - max(1.0, round(window * PANIC_WINDOW_SHARE))))
        if not ready:
            surge = max(surge, self._number(waiting))
            calm = max(calm, surge)
        if surge >= PANIC_THRESHOLD * max(ready, 1):
            self._panic_until = now + window
        elif now >= self._panic_until:
            self._panic_number = 0
        if now < self._panic_until:
            self._panic_number = calm = max(calm, surge, self._panic_number)
        number = max(calm, least)
        return min(number, self._rule.most) if self._rule.most else number

    def _number(self, requests: float) -> int:
        return math.ceil(requests / self._rule.target)

    def _average(self, since: float) -> float:
        # Newest first: the panic window is the end of a long deque.
        newest = takewhile(lambda reading: reading[0] > since, reversed(self._readings))
        counted = [requests for _, requests in newest]
        return sum(counted) / len(counted) if counted else 0.0

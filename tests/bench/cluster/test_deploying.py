"""A deploy until it is ready, beside the same object applied with kubectl."""

import time
import uuid
from collections.abc import Callable

from tests.bench.cluster import ksvc
from tests.bench.figures import compared, take_turns
from tests.bench.report import Section
from tests.journeys.platform import Platform

ROUNDS = 7

OURS, THEIRS = "`maxcloud deploy`", "`kubectl apply`, `kubectl wait`"

ABOUT = """\
Seconds from the command to its end, which comes when the service is ready. kubectl applies the same
Knative Service under another name, without a row, an event or a look at the registry."""


def test_deploying(platform: Platform, image: str, show: Callable[[Section], None]) -> None:
    platform.maxcloud("deploy", image, "--name", "bench-spec")
    spec = ksvc.spec_of("bench-spec")

    def deployed() -> float:
        name = f"b-{uuid.uuid4().hex[:8]}"
        began = time.perf_counter()
        platform.maxcloud("deploy", image, "--name", name)
        seconds = time.perf_counter() - began
        platform.maxcloud("delete", name, "--yes")
        return seconds

    taken = take_turns({OURS: deployed, THEIRS: lambda: ksvc.applied(spec)}, ROUNDS)
    platform.maxcloud("delete", "bench-spec", "--yes")
    show(Section("Deploying", ABOUT, [compared("s", taken, [THEIRS], digits=2)]))

"""A request to a function at zero and to one that is awake, beside a static binary."""

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx

from tests.bench.cluster.autoscaler import settings
from tests.bench.figures import Table, compared, take_turns
from tests.bench.report import Section
from tests.cluster.environment import kubectl
from tests.journeys.platform import eventually

ROUNDS, WARM_ROUNDS = 5, 200

OURS, THEIRS = "GET /api/v1/services", "static binary"

ABOUT = """\
Milliseconds of one request through the gateway: at zero, then awake. The peer is a Knative Service
of a 2 MB static binary, whose start takes no time of its own. The last table says where a cold
request of ours spends its time."""


def test_requests(client: httpx.Client, static: str, show: Callable[[Section], None]) -> None:
    def ours() -> float:
        return timed(lambda: client.get("/api/v1/services"))

    def theirs() -> float:
        return timed(lambda: client.get("/", headers={"Host": static}))

    started: list[float] = []
    served: list[float] = []
    awake: set[str] = set()

    def at_zero(name: str, ask: Callable[[], float]) -> float:
        # Both sleep by themselves, so one wait is for both.
        if name in awake:
            eventually("instances", running, 240, lambda pods: pods == 0)
            awake.clear()
        awake.add(name)
        return ask()

    def ours_at_zero() -> float:
        taken = ours()
        lines = logged()
        started.extend(line["milliseconds"] for line in lines if line["message"] == "starting")
        served.extend(line["milliseconds"] for line in lines if line["message"].startswith("GET"))
        return taken

    with settings({"stable-window": "6s"}):
        eventually("instances", running, 240, lambda pods: pods == 0)
        turns = {
            OURS: partial(at_zero, OURS, ours_at_zero),
            THEIRS: partial(at_zero, THEIRS, theirs),
        }
        cold = take_turns(turns, ROUNDS)
    warm = take_turns({OURS: ours, THEIRS: theirs}, WARM_ROUNDS)
    process, first = statistics.median(started), statistics.median(served)
    knative = statistics.median(cold[OURS]) - process - first
    parts = {
        "Knative: activator, autoscaler, scheduler, sandbox, probe": knative,
        "the process until it listens: interpreter, imports": process,
        "its first answer: connection to PostgreSQL, query": first,
    }
    tables = [
        compared("ms at zero", cold, [THEIRS]),
        compared("ms awake", warm, [THEIRS], digits=1),
        Table(["", "ms"], [[what, f"{taken:.0f}"] for what, taken in parts.items()]),
    ]
    show(Section("Cold and warm requests", ABOUT, tables))


def running() -> int:
    """How many instances of the two run, also on their way out."""
    which = "serving.knative.dev/service in (services, bench-static)"
    return len(kubectl("get", "pods", "-A", "-o", "name", "-l", which).split())


def logged() -> list[dict[str, Any]]:
    label = "serving.knative.dev/service=services"
    said = kubectl("logs", "-n", "mc-system", "-l", label, "-c", "user-container", "--tail=-1")
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def timed(ask: Callable[[], httpx.Response]) -> float:
    began = time.perf_counter()
    assert ask().status_code == 200
    return (time.perf_counter() - began) * 1000

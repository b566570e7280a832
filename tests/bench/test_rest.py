"""An idle platform on the engine: what is still there when nobody asks, and why."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.bench.figures import Table
from tests.bench.local import worker_url
from tests.bench.platform import connections
from tests.bench.report import Section
from tests.journeys.platform import eventually
from tests.local.backend import Engine, engine

# Between two sweeps, which come every minute and keep `reconcile` awake for the window.
WATCH_SECONDS = 15

ABOUT = f"""\
`maxcloud dev` with the sample deployed, after its window without requests and between two sweeps.
PSS in MiB, processor time in milliseconds a second over {WATCH_SECONDS} s."""

# By what the process calls itself; PostgreSQL's say what they are for.
REASONS = {
    "maxcloud": "the engine: gateway, broker, Kubernetes API, autoscaler; it holds every port",
    "registry": "CNCF Distribution: what `maxcloud push` brings; a client would wait for its start",
    "sh": "ends the registry with the engine, however the engine ends",
    "postgres": "PostgreSQL: the rows are the only truth there is",
    "checkpointer": "PostgreSQL writes its pages out",
    "background writer": "PostgreSQL writes its pages out ahead",
    "walwriter": "PostgreSQL writes its log out",
    "autovacuum launcher": "PostgreSQL cleans up",
    "logical replication launcher": "PostgreSQL's own; there is nothing to launch",
    "io worker": "PostgreSQL reads and writes (one process each)",
}


@pytest.fixture
def idle() -> Iterator[Engine]:
    with engine() as started:
        started.sleep_after(6)
        yield started


def test_rest(idle: Engine, show: Callable[[Section], None]) -> None:
    assert idle.process is not None
    with psycopg.connect(worker_url(idle), autocommit=True) as connection:
        while True:
            eventually("instances", lambda: pods(idle), 240, lambda found: found == [])
            processes = [*tree(idle.process.pid), *tree(postmaster(idle.data))]
            ours = connection.info.backend_pid
            before = {each.pid: busy(each) for each in processes}
            time.sleep(WATCH_SECONDS)
            if pods(idle) == [] and all(each.is_running() for each in processes):
                break
        connected = connections(connection)
    shown: dict[str, list[float]] = {}
    for each in processes:
        if each.pid != ours:
            taken = (busy(each) - before[each.pid]) / WATCH_SECONDS * 1000
            line = shown.setdefault(named(each), [0, 0, 0])
            line[:] = [line[0] + 1, line[1] + each.memory_full_info().pss / 2**20, line[2] + taken]
    assert shown.keys() <= REASONS.keys()
    rows = [
        [name, f"{number:.0f}", f"{memory:.0f}", f"{taken:.1f}", REASONS[name]]
        for name, (number, memory, taken) in shown.items()
    ]
    rows += [
        ["functions", "0", "", "", "all at zero: a request or an event wakes them"],
        ["pods of tenants", "0", "", "", "the sample sleeps too"],
        ["database connections", str(connected), "", "", "they end with the functions"],
    ]
    table = Table(["", "number", "PSS", "ms/s", "why"], rows)
    show(Section("At rest on the engine", ABOUT, [table]))


def pods(started: Engine) -> list[str]:
    found = started.kubernetes("GET", "/api/v1/pods")["items"]
    return [each["metadata"]["name"] for each in found]


def postmaster(data: Path) -> int:
    [found] = data.glob("postgres/**/postmaster.pid")
    return int(found.read_text(encoding="utf-8").splitlines()[0])


def tree(pid: int) -> list[psutil.Process]:
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def busy(process: psutil.Process) -> float:
    taken = process.cpu_times()
    return taken.user + taken.system


def named(process: psutil.Process) -> str:
    """Return what a process is for: of PostgreSQL's own, what its title says."""
    title = " ".join(process.cmdline())
    name = title.removeprefix("postgres: ") if title.startswith("postgres: ") else process.name()
    return next((known for known in REASONS if name.startswith(known)), name)

"""Many at once on one process that is awake, beside a FastAPI app that does the same."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import httpx

from tests.bench import load, programs
from tests.bench.figures import Goal, compared, take_turns
from tests.bench.report import Section
from tests.conftest import TestDatabase

ROUNDS = 9

READERS, READ_SECONDS = 50, 2
WRITERS, WRITES = 10, 300

OURS, FASTAPI = "`services`", "FastAPI"

READING = f"""\
{READERS} clients ask for the list of 20 services, each again as soon as it has its answer, for
{READ_SECONDS} s a round; a process each for us, for FastAPI and for the clients, one PostgreSQL.
First requests per second, then the milliseconds that half, 95 % and 99 % of the requests stay
below."""

CREATING = f"""\
{WRITERS} clients create {WRITES} services a round: validated, written, answered. Without a broker,
so that neither publishes an event; `services` writes a line of log. First services per second, then
the milliseconds that half, 95 % and 99 % of the requests stay below."""

Show = Callable[[Section], None]
Figures = dict[str, float]


@contextmanager
def contenders(database: TestDatabase) -> Iterator[Mapping[str, int]]:
    """Yield where the two serve the same rows."""
    programs_by_name = {
        OURS: programs.function("services", database),
        FASTAPI: programs.with_fastapi(database),
    }
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(programs.started(program)).port
            for name, program in programs_by_name.items()
        }


def test_reading(rows: TestDatabase, show: Show) -> None:
    with contenders(rows) as ports:
        lists = [httpx.get(f"http://127.0.0.1:{port}{load.PATH}").json() for port in ports.values()]
        assert lists[0] == lists[1]
        turns = {name: partial(loaded, port, "list") for name, port in ports.items()}
        taken = take_turns(turns, ROUNDS)
    show(section("Reading services", READING, taken, Goal(FASTAPI, least=1)))


def test_creating(database: TestDatabase, show: Show) -> None:
    with contenders(database) as ports:
        turns = {name: partial(loaded, port, "create") for name, port in ports.items()}
        taken = take_turns(turns, ROUNDS)
    show(section("Creating services", CREATING, taken))


def loaded(port: int, kind: str) -> Figures:
    """Return what `tests.bench.load` saw."""
    bounds = {"list": (READERS, READ_SECONDS), "create": (WRITERS, WRITES)}[kind]
    command = [sys.executable, "-m", "tests.bench.load", str(port), kind, *map(str, bounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: Figures = json.loads(done.stdout)
    return figures


def section(title: str, about: str, taken: Mapping[str, list[Figures]], *goals: Goal) -> Section:
    """Return a table of each figure, the rate first; the goals are the rate's."""
    tables = []
    for figure, unit in (
        ("rate", "per s"),
        ("p50", "p50 ms"),
        ("p95", "p95 ms"),
        ("p99", "p99 ms"),
    ):
        by_name = {name: [each[figure] for each in rounds] for name, rounds in taken.items()}
        aims = {OURS: goals} if goals and figure == "rate" else None
        tables.append(compared(unit, by_name, [FASTAPI], aims, digits=0 if unit == "per s" else 1))
    return Section(title, about, tables)

"""PostgreSQL is restarted, hangs, or is slow."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.faults.faults import postgres_frozen, postgres_slow
from tests.faults.journal import Told
from tests.faults.report import Report
from tests.faults.target import Target

# A request waits for the database no longer than this, and room for a slow machine.
PATIENCE_SECONDS = 30


@contextmanager
def clients_at_work(target: Target, word: str, clients: int = 4) -> Iterator[list[Told]]:
    """Create and change services all the time, until each has done so once more after the block."""
    told: list[Told] = []
    end = threading.Event()

    def work(client: int) -> None:
        for number in itertools.count():
            name = f"{word}-{client}-{number}"
            told.append(target.journal.create(name, target.backend.image))
            told.append(target.journal.patch(name, env_vars={"N": "2"}))
            if end.is_set() or number == 5:
                return

    with ThreadPoolExecutor(clients) as pool:
        work_of_all = [pool.submit(work, client) for client in range(clients)]
        try:
            yield told
        finally:
            end.set()
        for each in work_of_all:
            each.result()


def assert_only_unavailable(told: list[Told]) -> None:
    """Whatever was not done was refused as being away, with a time to come back."""
    for each in told:
        if not each.is_done and each.status != 404:  # of one that could not be created
            assert each.status == 503, each
            assert each.retry_after, each
            assert each.answer["code"] == "unavailable", each


def test_what_was_promised_outlives_a_restart(target: Target, report: Report) -> None:
    with clients_at_work(target, "restarted") as told:
        target.until("work", lambda: len(told) >= 4)
        target.backend.restart_postgres()
        done = len(told)
        target.until("work", lambda: any(each.is_done for each in told[done:]))
    assert_only_unavailable(told)
    target.sweep()
    report("PostgreSQL restarted under four clients", target.agrees())


def test_a_database_that_hangs_is_away(target: Target, report: Report) -> None:
    # A connection that is open already, too.
    assert target.journal.create("waiting", target.backend.image).is_done
    with postgres_frozen(target), ThreadPoolExecutor(8) as clients:
        name = itertools.repeat("waiting", 8)
        told = list(clients.map(lambda name: target.journal.patch(name, args=["a"]), name))
    for each in told:
        assert each.status == 503, each
        assert each.retry_after
        assert each.ended - each.began < PATIENCE_SECONDS
    target.sweep()
    report("PostgreSQL hangs", target.agrees())


def test_a_slow_database_is_only_slow(target: Target, report: Report) -> None:
    with postgres_slow(target), clients_at_work(target, "slow", clients=2) as told:
        target.until("work", lambda: len(told) >= 4)
    assert_only_unavailable(told)
    assert any(each.is_done for each in told)
    target.sweep()
    report("PostgreSQL slow under two clients", target.agrees())

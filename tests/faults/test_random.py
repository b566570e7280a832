"""Random writes of many clients while faults come at random: in the end everything agrees.

`--long` goes on for ten minutes; `--seed` repeats what clients and faults chose (not the order in
which it arrived).
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from tests.faults.between import SILENCE, Between
from tests.faults.faults import broker_away, postgres_frozen, postgres_slow, sources_away
from tests.faults.journal import SERVICES, Journal, Told
from tests.faults.report import Report
from tests.faults.target import Target

CLIENTS = 20

# Fewer than clients want, so that they meet.
NAMES = [f"random-{number:02}" for number in range(30)]

# How long after a fault a client may still hear of it: a request waits that long at the most.
ECHO_SECONDS = 30


@dataclass(frozen=True)
class Length:
    """How much is done: operations in all, over so many seconds, with a fault every few."""

    operations: int
    seconds: float
    pause_between_faults: float


SHORT, LONG = Length(120, 8, 1), Length(2000, 600, 8)


class Client:
    """Writes at random, as fast as it is to."""

    def __init__(self, journal: Journal, image: str, chance: random.Random) -> None:
        self._journal, self._image, self._chance = journal, image, chance

    def write(self) -> Told:
        """Do something to some service."""
        name = self._chance.choice(NAMES)
        actions = [self._create, self._patch, self._delete, self._split, self._roll_back]
        [action] = self._chance.choices(actions, [4, 4, 2, 1, 1])
        return action(name)

    def _create(self, name: str) -> Told:
        image = self._image
        if self._chance.random() < 0.1:
            image += "-that-is-nowhere"
        return self._journal.create(name, image, env_vars=self._variables())

    def _patch(self, name: str) -> Told:
        patches: list[dict[str, Any]] = [
            {"env_vars": self._variables()},
            {"max_scale": self._chance.randint(1, 3)},
            {"concurrency": self._chance.randint(1, 9)},
            {"image": self._image},
        ]
        return self._journal.patch(name, **self._chance.choice(patches))

    def _delete(self, name: str) -> Told:
        return self._journal.delete(name)

    def _split(self, name: str) -> Told:
        percent = self._chance.randint(1, 99)
        older = {"revision": self._revision(name), "percent": percent, "tag": "older"}
        return self._journal.route(name, [older, {"revision": "latest", "percent": 100 - percent}])

    def _roll_back(self, name: str) -> Told:
        return self._journal.route(name, [{"revision": self._revision(name), "percent": 100}])

    def _variables(self) -> dict[str, str]:
        return {"N": str(self._chance.randint(1, 5))}

    def _revision(self, name: str) -> str:
        answer = self._journal.get(f"{SERVICES}/{name}/revisions")
        found: list[str] = [each["name"] for each in answer.json()] if answer.is_success else []
        return self._chance.choice([*found, f"{name}-00001"])


@dataclass
class Troublemaker:
    """Brings one fault after another, and knows when each was."""

    target: Target
    between: Between
    chance: random.Random
    times: list[tuple[str, float, float]] = field(default_factory=list)

    def trouble(self, seconds: float) -> None:
        """Bring a fault for so many seconds; one that ends by itself takes as long as it takes."""
        faults: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "reconcile killed": lambda: self._lost("reconcile"),
            "status killed": lambda: self._lost("status"),
            "broker away": lambda: broker_away(self.target),
            "sources away": lambda: sources_away(self.target),
            "PostgreSQL restarted": self._restarted,
            "PostgreSQL hangs": lambda: postgres_frozen(self.target),
            "PostgreSQL slow": lambda: postgres_slow(self.target),
            "Kubernetes API refuses": self._refusing,
        }
        name = self.chance.choice(list(faults))
        began = time.monotonic()
        with faults[name]():
            time.sleep(seconds)
        self.times.append((name, began, time.monotonic()))

    def was_there(self, told: Told) -> bool:
        """Tell whether something was away while a client waited for this answer."""
        return any(
            began <= told.ended and told.began <= ended + ECHO_SECONDS
            for _, began, ended in self.times
        )

    @contextmanager
    def _lost(self, function: str) -> Iterator[None]:
        self.target.backend.lose(function)
        yield

    @contextmanager
    def _restarted(self) -> Iterator[None]:
        self.target.backend.restart_postgres()
        yield
        # A kubelet waits twice as long each time before it starts one anew that has ended.
        self.target.until("PostgreSQL", self._postgres_answers)

    def _postgres_answers(self) -> bool:
        try:
            return bool(self.target.rows("select 1"))
        except psycopg.OperationalError:
            return False

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        status = self.chance.choice([409, 429, 500, 503, SILENCE])
        part = self.chance.random()
        with self.between.answering(lambda method, path: self._verdict(status, part)):
            yield

    def _verdict(self, status: int, part: float) -> int | None:
        return status if self.chance.random() < part else None


@pytest.fixture
def length(request: pytest.FixtureRequest) -> Length:
    return LONG if request.config.getoption("long") else SHORT


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    chosen: int | None = request.config.getoption("seed")
    if chosen is None:
        chosen = random.randrange(2**32) if request.config.getoption("long") else 1
    print(f"--seed={chosen}")
    return chosen


def at_work(target: Target, length: Length, chance: random.Random) -> None:
    """Write as often as one of the clients has to, spread over the time there is."""
    client = Client(target.journal, target.backend.image, chance)
    mine = length.operations // CLIENTS
    for _ in range(mine):
        client.write()
        time.sleep(chance.uniform(0, 2 * length.seconds / mine))


def test_random_operations_with_faults_at_random(
    target: Target, report: Report, length: Length, seed: int
) -> None:
    already = len(target.journal.told)
    with target.backend.kubernetes_through_us() as between:
        trouble = Troublemaker(target, between, random.Random(seed))
        with ThreadPoolExecutor(CLIENTS) as clients:
            working = [
                clients.submit(at_work, target, length, random.Random(seed + 1 + number))
                for number in range(CLIENTS)
            ]
            while not all(each.done() for each in working):
                trouble.trouble(trouble.chance.uniform(0.5, 3))
                time.sleep(trouble.chance.uniform(0, length.pause_between_faults))
            for each in working:
                each.result()
        target.sweep()
        seconds = target.agrees()
    told = target.journal.told[already:]
    report(f"{len(told)} random operations, {len(trouble.times)} faults", seconds)
    print_summary(told, trouble)
    for one in told:
        if one.status is None or one.status >= 500:
            assert (one.status, bool(one.retry_after)) == (503, True), one
            assert trouble.was_there(one), one


def print_summary(told: list[Told], trouble: Troublemaker) -> None:
    for (action, status), times in sorted(Counter((t.action, str(t.status)) for t in told).items()):
        print(f"{times:5} {action} {status}")
    for name, times in sorted(Counter(name for name, _, _ in trouble.times).items()):
        print(f"{times:5} times: {name}")

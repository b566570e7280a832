"""Many services: what one of them costs among ten, a hundred and a thousand."""

import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from tests.bench.figures import curve, take_turns
from tests.bench.local import SAMPLE, worker_url
from tests.bench.platform import Crowd
from tests.bench.report import Section
from tests.bench.sweeper import Sweep, sweeping
from tests.local.backend import SETTINGS, engine

SIZES = (10, 100, 1000)
ROUNDS = 9

ABOUT = """\
Services of the sample image on the local engine, without instances: the cluster's `initial-scale`
is 0, so none has to show that it starts. All else is as always: rows, events, `reconcile`, Knative
Services, `status`. *all of them* is from the first request until every one is ready, eight clients
at a time. For the others three engines ran side by side and took turns, medians of nine: a list's
page has at most a hundred services, a *change* makes a revision, a *sweep* is one of a `reconcile`
of its own over rows and cluster that agree."""


@dataclass(frozen=True)
class Filled:
    """An engine with so many services."""

    crowd: Crowd
    sweep: Sweep
    services_a_second: float


def test_scale(show: Callable[[Section], None]) -> None:
    with ExitStack() as stack:
        engines = {size: stack.enter_context(filled(size)) for size in SIZES}
        taken = {"all of them, services a second": [e.services_a_second for e in engines.values()]}
        acts: dict[str, Callable[[Filled], float]] = {
            "a page of the list": lambda each: each.crowd.page(),
            "one deploy among them": lambda each: each.crowd.deploy(),
            "one change among them": lambda each: each.crowd.change(),
            "a sweep": lambda each: each.sweep(),
        }
        for what, act in acts.items():
            turns = {str(size): partial(act, each) for size, each in engines.items()}
            rounds = take_turns(turns, ROUNDS)
            taken[f"{what}, ms"] = [statistics.median(each) * 1000 for each in rounds.values()]
    show(Section("Many services on the engine", ABOUT, [curve(SIZES, taken)]))


@contextmanager
def filled(size: int) -> Iterator[Filled]:
    """Run an engine with so many services, of which none needs to start."""
    with engine() as started:
        started.sleep_after(3600)
        started.kubernetes(
            "PATCH",
            SETTINGS,
            content=json.dumps({"data": {"initial-scale": "0"}}),
            headers={"Content-Type": "application/merge-patch+json"},
        )
        with (
            Crowd(started.api_url, SAMPLE) as crowd,
            sweeping(worker_url(started), started.data / "kubeconfig") as sweep,
        ):
            yield Filled(crowd, sweep, size / crowd.grow(size))

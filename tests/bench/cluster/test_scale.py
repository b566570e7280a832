"""Many services on a real Knative: what one of them costs among ten, a hundred and 300."""

import base64
import json
import re
import statistics
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.bench.cluster import ksvc
from tests.bench.cluster.autoscaler import settings
from tests.bench.figures import curve, take_turns
from tests.bench.platform import Crowd
from tests.bench.report import Section
from tests.bench.sweeper import sweeping
from tests.cluster.environment import KUBECONFIG, STATE, kubectl
from tests.journeys.platform import Platform

SIZES = (10, 100, 300)
ROUNDS = 5

NOTHING_STARTS = {"allow-zero-initial-scale": "true", "initial-scale": "0"}

ABOUT = """\
As on the engine, with Knative's `initial-scale` 0: services are there, ready, and have never run.
*all of them* counts those that came since the column before. `kubectl apply` makes the same Knative
Service, and `kubectl wait` waits for it; it took turns with our deploy. The sweep is made by a
`reconcile` on the machine beside the cluster."""


def test_scale(platform: Platform, image: str, show: Callable[[Section], None]) -> None:
    taken: dict[str, list[float]] = {}

    def keep(what: str, figure: float) -> None:
        taken.setdefault(what, []).append(figure)

    with (
        settings(NOTHING_STARTS),
        database() as worker_url,
        Crowd(platform.backend.api_url, image) as crowd,
        sweeping(worker_url, KUBECONFIG) as sweep,
    ):
        try:
            for size in SIZES:
                more = size - len(crowd.names)
                keep("all of them, services a second", more / crowd.grow(more))
                spec = ksvc.spec_of(crowd.names[0])
                turns: dict[str, Callable[[], float]] = {
                    "a page of the list": crowd.page,
                    "one deploy among them": crowd.deploy,
                    "`kubectl apply`, `kubectl wait`": lambda spec=spec: ksvc.applied(spec),  # type: ignore[misc]
                    "one change among them": crowd.change,
                    "a sweep": sweep,
                }
                for what, rounds in take_turns(turns, ROUNDS).items():
                    keep(f"{what}, ms", statistics.median(rounds) * 1000)
        finally:
            crowd.clear()
    show(Section("Many services on the cluster", ABOUT, [curve(SIZES, taken)]))


@contextmanager
def database() -> Iterator[str]:
    """Yield the address of the platform's database for its workers, reached from here."""
    secret = json.loads(kubectl("get", "secret", "database", "-n", "mc-system", "-o", "json"))
    url = base64.b64decode(secret["data"]["worker-url"]).decode()
    command = [str(STATE / "bin/kubectl"), f"--kubeconfig={KUBECONFIG}", "port-forward"]
    command += ["-n", "mc-system", "service/postgres", ":5432"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
        assert forwarding.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+)", forwarding.stdout.readline())
        assert found
        try:
            yield url.replace("@postgres.mc-system/", f"@127.0.0.1:{found[1]}/")
        finally:
            forwarding.terminate()

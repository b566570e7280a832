"""An idle platform on a cluster: what is still there when nobody asks, and why."""

from collections.abc import Callable

import psycopg

from tests.bench.figures import Table
from tests.bench.platform import connections
from tests.bench.report import Section
from tests.cluster.environment import kubectl
from tests.cluster.inside import database_url
from tests.journeys.platform import eventually
from tests.knative.test_operators import status

# The window, the time in which Knative takes an instance down, and a sweep that may come between.
WITHIN_SECONDS = 300

ABOUT = """\
What `maxcloud platform status` says of a cluster after the window without requests and between two
sweeps: the pods of the platform and of Knative; memory is the working set in MiB that the kubelet
sees."""


def test_rest(show: Callable[[Section], None]) -> None:
    eventually("functions", functions, WITHIN_SECONDS, lambda found: found == [])
    resting = status()["at_rest"]
    with psycopg.connect(database_url("owner")) as connection:
        connected = connections(connection)
    rows = [
        [f"{each['namespace']}/{each['name']}", _size(each["memory_mib"]), each["why"]]
        for each in resting
    ]
    rows += [
        ["all of it", _size(sum(each["memory_mib"] or 0 for each in resting)), ""],
        ["functions", "0", "a request or an event wakes them"],
        [f"{connected} connections to the database", "", "they end with the functions"],
    ]
    show(Section("At rest on the cluster", ABOUT, [Table(["", "MiB", "why"], rows)]))


def functions() -> list[str]:
    """Return the instances of Knative Services, of the platform's and of tenants'."""
    return kubectl("get", "pods", "-A", "-o", "name", "-l", "serving.knative.dev/service").split()


def _size(mebibytes: int | None) -> str:
    return "" if mebibytes is None else str(mebibytes)

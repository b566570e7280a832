"""An idle platform on a cluster: what is still there when nobody asks, and why."""

import json
from collections.abc import Callable

from tests.bench.figures import Table
from tests.bench.report import Section
from tests.cluster.environment import kubectl
from tests.journeys.platform import eventually

# The window, and the time in which Knative takes an instance down.
WITHIN_SECONDS = 300

ABOUT = """\
The pods of a cluster with the platform installed, after the window without requests and between two
sweeps; memory is the working set in MiB that the kubelet sees. Kubernetes' own parts on the test
cluster are processes of the node, and no pods."""

# By namespace, and by how the pod's name begins where one namespace has several kinds.
REASONS = {
    "mc-system/postgres": "the rows; an operator may bring a database of their own",
    "mc-system/apiserversource": "Knative's adapter: it hears of changed services for `status`",
    "knative-serving": "Knative Serving: activator, autoscaler, controllers, webhook",
    "knative-eventing": "Knative Eventing: broker, channel, timer, controllers, webhook",
    "kourier-system": "Envoy: every request comes in here",
    "kube-system": "DNS",
}


def test_rest(show: Callable[[Section], None]) -> None:
    eventually("functions", functions, WITHIN_SECONDS, lambda found: found == [])
    memory = working_sets()
    shown: dict[str, list[float]] = {}
    for pod in pods():
        known = next((each for each in REASONS if pod.startswith(each)), pod)
        line = shown.setdefault(known, [0, 0])
        line[:] = [line[0] + 1, line[1] + memory.get(pod, 0)]
    rows = [
        [name, f"{number:.0f}", f"{size:.0f}" if size else "", REASONS.get(name, "unexplained")]
        for name, (number, size) in sorted(shown.items())
    ]
    rows += [
        ["functions", "0", "", "all at zero: a request or an event wakes them"],
        ["database connections", connections(), "", "they end with the functions"],
    ]
    table = Table(["", "number", "MiB", "why"], rows)
    show(Section("At rest on the cluster", ABOUT, [table]))


def pods() -> list[str]:
    """Return the running pods as namespace/name."""
    found = json.loads(kubectl("get", "pods", "-A", "-o", "json"))["items"]
    return [
        f"{each['metadata']['namespace']}/{each['metadata']['name']}"
        for each in found
        if each["status"].get("phase") == "Running"
    ]


def functions() -> list[str]:
    """Return the instances of Knative Services, of the platform's and of tenants'."""
    return kubectl("get", "pods", "-A", "-o", "name", "-l", "serving.knative.dev/service").split()


def working_sets() -> dict[str, float]:
    node = json.loads(kubectl("get", "nodes", "-o", "json"))["items"][0]["metadata"]["name"]
    said = json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
    return {
        f"{each['podRef']['namespace']}/{each['podRef']['name']}": sum(
            container.get("memory", {}).get("workingSetBytes", 0) / 2**20
            for container in each.get("containers", [])
        )
        for each in said["pods"]
    }


def connections() -> str:
    query = (
        "select count(*) from pg_stat_activity"
        " where backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    shell = (
        f'PATH="$(echo /usr/lib/postgresql/*/bin):$PATH" psql -h /tmp -U postgres -Atc "{query}"'
    )
    return kubectl("exec", "-n", "mc-system", "postgres-0", "--", "sh", "-c", shell).strip()

"""Deploy time and cold start on a running cluster, each beside a peer in the same run.

`make bench-cluster` runs it; nothing here fails on a slow machine, it prints.
"""

import json
import statistics
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.cluster.backend import Cluster
from tests.cluster.environment import KUBECONFIG, STATE, kubectl
from tests.journeys import images
from tests.journeys.platform import Platform, eventually

ROUNDS = 5
WARM_REQUESTS = 200
KUBECTL = [str(STATE / "bin/kubectl"), f"--kubeconfig={KUBECONFIG}"]


@pytest.fixture(scope="module")
def platform() -> Platform:
    return Platform(Cluster())


@pytest.fixture(scope="module")
def image(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> str:
    archive = images.web(tmp_path_factory.mktemp("web") / "web.tar", page="bench")
    return platform.backend.push(archive, "bench")


@pytest.fixture
def static() -> Iterator[str]:
    """The peer: a ksvc of a 2 MB static binary that answers at once."""
    container = {"image": "dev.local/static-http:1", "resources": {"requests": {"cpu": "25m"}}}
    spec = {"template": {"spec": {"containers": [container], "enableServiceLinks": False}}}
    ksvc = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "bench-static", "namespace": "default"},
        "spec": spec,
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(ksvc))
    kubectl("wait", "ksvc/bench-static", "--for=condition=Ready", "--timeout=60s")
    yield "http://bench-static.localhost"
    kubectl("delete", "ksvc", "bench-static")


def test_deploy_beside_kubectl(platform: Platform, image: str) -> None:
    ours, theirs = [], []
    for _ in range(ROUNDS):
        name = f"b-{uuid.uuid4().hex[:8]}"
        start = time.monotonic()
        platform.maxcloud("deploy", image, "--name", name)
        ours.append(time.monotonic() - start)
        theirs.append(kubectl_apply(name))
        platform.maxcloud("delete", name, "--yes")
    show("deploy to ready, s", {"maxcloud deploy": ours, "kubectl apply + wait": theirs})


def kubectl_apply(name: str) -> float:
    """Seconds until the same Knative Service, under another name, is ready by kubectl alone."""
    ksvc = json.loads(kubectl("get", "ksvc", name, "-n", "default", "-o", "json"))
    template = ksvc["spec"]["template"]
    template["metadata"] = {"annotations": template["metadata"]["annotations"]}
    copy = f"{name}-copy"
    same = {
        "apiVersion": ksvc["apiVersion"],
        "kind": "Service",
        "metadata": {"name": copy, "namespace": "default"},
        "spec": {"template": template, "traffic": ksvc["spec"]["traffic"]},
    }
    start = time.monotonic()
    run(["apply", "-f", "-"], json.dumps(same))
    run(["wait", f"ksvc/{copy}", "--for=condition=Ready", "--timeout=120s"])
    seconds = time.monotonic() - start
    run(["delete", "ksvc", copy])
    return seconds


def run(arguments: list[str], stdin: str | None = None) -> None:
    command = [*KUBECTL, *arguments]
    subprocess.run(command, input=stdin, text=True, capture_output=True, check=True)


@pytest.fixture
def client(platform: Platform) -> Iterator[httpx.Client]:
    """One for all requests: making one loads TLS's authorities, 30 ms that are not ours."""
    with httpx.Client(base_url=platform.backend.api_url, timeout=60) as client:
        yield client


def test_cold_and_warm_beside_a_static_binary(client: httpx.Client, static: str) -> None:
    def api() -> None:
        assert client.get("/api/v1/services").status_code == 200

    def peer() -> None:
        assert client.get("/", headers={"Host": urlsplit(static).netloc}).status_code == 200

    cold: dict[str, list[float]] = {"GET /api/v1/services": [], "static binary": []}
    started, served = [], []
    for _ in range(ROUNDS):
        eventually("instances", running, 240, lambda pods: pods == 0)
        cold["static binary"].append(timed(peer))
        cold["GET /api/v1/services"].append(timed(api))
        lines = logged()
        started += [line["milliseconds"] for line in lines if line["message"] == "starting"]
        served += [line["milliseconds"] for line in lines if line["message"].startswith("GET")][:1]
    show("cold request, s", cold)
    total = statistics.median(cold["GET /api/v1/services"]) * 1000
    process, first = statistics.median(started), statistics.median(served)
    print("where a cold start's time goes, ms, medians:")
    for milliseconds, what in (
        (total - process - first, "Knative: activator, autoscaler, scheduler, sandbox, probe"),
        (process, "the process until it listens: interpreter, imports"),
        (first, "its first answer: connection to PostgreSQL, query"),
    ):
        print(f"  {milliseconds:6.0f}  {what}")

    warm: dict[str, list[float]] = {"GET /api/v1/services": [], "static binary": []}
    for _ in range(WARM_REQUESTS):
        warm["GET /api/v1/services"].append(timed(api))
        warm["static binary"].append(timed(peer))
    show("warm request, s", warm)


def running() -> int:
    """How many instances of the two peers run, also on their way out."""
    pods = kubectl("get", "pods", "-A", "-o", "name", "-l", PEERS).split()
    return len(pods)


PEERS = "serving.knative.dev/service in (services, bench-static)"


def logged() -> list[dict[str, Any]]:
    label = "serving.knative.dev/service=services"
    said = kubectl("logs", "-n", "mc-system", "-l", label, "-c", "user-container", "--tail=-1")
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def timed(act: Callable[[], None]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def show(what: str, figures: dict[str, list[float]]) -> None:
    """Print two rows of figures and the ratio of their medians."""
    print(f"\n{what}: min / median / max of {len(next(iter(figures.values())))}")
    for name, seconds in figures.items():
        shown = " / ".join(f"{f(seconds):.3f}" for f in (min, statistics.median, max))
        print(f"  {shown}  {name}")
    first, second = (statistics.median(seconds) for seconds in figures.values())
    print(f"  ratio {first / second:.2f}")

"""A deploy until it is ready, beside the same object applied with kubectl."""

import json
import subprocess
import time
import uuid
from collections.abc import Callable

from tests.bench.figures import compared, take_turns
from tests.bench.report import Section
from tests.cluster.environment import KUBECONFIG, STATE, kubectl
from tests.journeys.platform import Platform

ROUNDS = 7
KUBECTL = [str(STATE / "bin/kubectl"), f"--kubeconfig={KUBECONFIG}"]

OURS, THEIRS = "`maxcloud deploy`", "`kubectl apply`, `kubectl wait`"

ABOUT = """\
Seconds from the command to its end, which comes when the service is ready. kubectl applies the same
Knative Service under another name, without a row, an event or a look at the registry."""


def test_deploying(platform: Platform, image: str, show: Callable[[Section], None]) -> None:
    # The spec that kubectl applies is that of a service of ours.
    platform.maxcloud("deploy", image, "--name", "bench-spec")
    spec = knative_spec("bench-spec")

    def deployed() -> float:
        name = f"b-{uuid.uuid4().hex[:8]}"
        began = time.perf_counter()
        platform.maxcloud("deploy", image, "--name", name)
        seconds = time.perf_counter() - began
        platform.maxcloud("delete", name, "--yes")
        return seconds

    taken = take_turns({OURS: deployed, THEIRS: lambda: applied(spec)}, ROUNDS)
    platform.maxcloud("delete", "bench-spec", "--yes")
    show(Section("Deploying", ABOUT, [compared("s", taken, [THEIRS], digits=2)]))


def knative_spec(name: str) -> dict[str, object]:
    found = json.loads(kubectl("get", "ksvc", name, "-n", "default", "-o", "json"))["spec"]
    # Knative names the copy's revisions.
    found["template"]["metadata"].pop("name")
    spec: dict[str, object] = {each: found[each] for each in ("template", "traffic")}
    return spec


def applied(spec: dict[str, object]) -> float:
    name = f"b-{uuid.uuid4().hex[:8]}-copy"
    metadata = {"name": name, "namespace": "default"}
    ksvc = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": metadata}
    began = time.perf_counter()
    run("apply", "-f", "-", stdin=json.dumps({**ksvc, "spec": spec}))
    run("wait", f"ksvc/{name}", "--for=condition=Ready", "--timeout=120s")
    seconds = time.perf_counter() - began
    run("delete", "ksvc", name)
    return seconds


def run(*arguments: str, stdin: str | None = None) -> None:
    command = [*KUBECTL, *arguments]
    subprocess.run(command, input=stdin, text=True, capture_output=True, check=True)

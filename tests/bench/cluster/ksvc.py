"""The peer of a deploy: the same Knative Service, by kubectl alone."""

import json
import subprocess
import time
import uuid
from typing import Any

from tests.cluster.environment import KUBECONFIG, STATE, kubectl

KUBECTL = [str(STATE / "bin/kubectl"), f"--kubeconfig={KUBECONFIG}"]


def spec_of(name: str) -> dict[str, Any]:
    """Return the spec of a service of DEV_MODE's organisation, to be applied under another name."""
    found = json.loads(kubectl("get", "ksvc", name, "-n", "default", "-o", "json"))["spec"]
    # Its revisions and tags are its own.
    metadata = {"annotations": found["template"]["metadata"]["annotations"]}
    return {"template": {**found["template"], "metadata": metadata}}


def applied(spec: dict[str, Any]) -> float:
    """Return the seconds until kubectl has made such a service and it is ready; it goes again."""
    metadata = {"name": f"peer-{uuid.uuid4().hex[:8]}", "namespace": "default"}
    made = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": metadata}
    began = time.perf_counter()
    _run("apply", "-f", "-", stdin=json.dumps({**made, "spec": spec}))
    _run("wait", f"ksvc/{metadata['name']}", "--for=condition=Ready", "--timeout=120s")
    seconds = time.perf_counter() - began
    _run("delete", "ksvc", metadata["name"])
    return seconds


def _run(*arguments: str, stdin: str | None = None) -> None:
    command = [*KUBECTL, *arguments]
    subprocess.run(command, input=stdin, text=True, capture_output=True, check=True)

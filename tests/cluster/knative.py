"""Knative is applied, and waited for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.cluster.environment import LOGS, kubectl
from tests.cluster.objects import WORKLOADS, Object, all_objects
from tests.cluster.progress import wait_until

FIRST = ("Namespace", "CustomResourceDefinition")
WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
NAMESPACES = ("kube-system", "knative-serving", "kourier-system", "knative-eventing")


def install(folders: dict[str, Path]) -> None:
    """Apply names, authority and Knative; return when every deployment is available."""
    objects = all_objects(folders)
    _apply([item for item in objects if item["kind"] in FIRST])
    kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=60s")
    _apply(sorted((item for item in objects if item["kind"] not in FIRST), key=_turn))
    wait_until("Knative", available, 300, f"the pods' logs in {LOGS}/pods")


def available() -> bool:
    """Whether every deployment of the cluster's own namespaces has the pods it wants."""
    columns = "{range .items[*]}{.spec.replicas}={.status.availableReplicas} {end}"
    for namespace in NAMESPACES:
        query = ["get", "deployments", f"--namespace={namespace}", "-o", f"jsonpath={columns}"]
        try:
            counts = [count.split("=") for count in kubectl(*query).split()]
        except subprocess.CalledProcessError:
            return False
        # A deployment of no pods shows no number of available ones.
        if not counts or any((ready or "0") != wanted for wanted, ready in counts):
            return False
    return True


def _turn(item: Object) -> int:
    """Pods after what they mount; webhooks last, or they would refuse what they cannot see yet."""
    return 2 if item["kind"] in WEBHOOKS else int(item["kind"] in WORKLOADS)


def _apply(objects: list[Object]) -> None:
    # On the server's side: the larger definitions do not fit into kubectl's annotation.
    apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"]
    kubectl(*apply, stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

"""Objects of an installation, cut down to what an operator is shown of them."""

from __future__ import annotations

from typing import Any


def condition(status: str, message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": status, "message": message}]}


def ksvc(serves: str = "services-00002", newest: str = "services-00002") -> dict[str, Any]:
    traffic = [{"revisionName": serves, "percent": 100}, {"revisionName": "x", "tag": "t"}]
    env = [{"name": "DATABASE_URL", "value": "d"}, {"name": "FUNCTION_TARGET", "value": "x"}]
    container = {"image": "maxcloud:1", "env": env, "envFrom": [{"configMapRef": {"name": "p"}}]}
    return {
        "kind": "Service",
        "metadata": {"name": "services", "namespace": "mc-system"},
        "spec": {"template": {"spec": {"containers": [container]}}},
        "status": condition("True") | {"traffic": traffic, "latestCreatedRevisionName": newest},
    }


def revision(name: str, ready: str = "True") -> dict[str, Any]:
    number = str(int(name.rpartition("-")[2]))
    labels = {"serving.knative.dev/configurationGeneration": number}
    return {"metadata": {"name": name, "labels": labels}, "status": condition(ready)}


def pod(name: str, namespace: str = "mc-system", phase: str = "Running", **labels: str) -> Any:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"metadata": metadata, "status": {"phase": phase}}


INSTANCE = {"serving.knative.dev/service": "services", "serving.knative.dev/revision": "r"}

"""What each function asks of the Kubernetes API, read from its code: it may do just that."""

from __future__ import annotations

import re
from collections.abc import Iterator

from maxcloud.knative import isolation
from tests.conftest import FUNCTIONS

Resource = tuple[str, str]
"""An API group and the plural of a resource in it."""

Rights = dict[Resource, set[str]]
"""The verbs by resource."""

SERVICES: Resource = ("serving.knative.dev", "services")
REVISIONS: Resource = ("serving.knative.dev", "revisions")

# What each function of knative/cluster.py and pods.py asks.
CALLS: dict[str, tuple[Resource, str]] = {
    "get_service": (SERVICES, "get"),
    "get_revision": (REVISIONS, "get"),
    "pods_of_revision": (("", "pods"), "list"),
    "create_service": (SERVICES, "create"),
    "replace_service": (SERVICES, "update"),
    "delete_service": (SERVICES, "delete"),
    "managed_services": (SERVICES, "list"),
    "list": (("", "pods"), "list"),
    "watch": (("", "pods"), "watch"),
    "log": (("", "pods/log"), "get"),
}
CALLS_FOR_EACH_OF_A_NAMESPACE = {
    "isolate": {"get", "create", "update"},
    "isolating_objects": {"list"},
}
OF_A_NAMESPACE: set[Resource] = {
    (path.split("/")[2] if path.startswith("/apis") else "", path.rpartition("/")[2])
    for path in isolation.RESOURCES.values()
}

# Who binds a role must have all its rights, or be let bind it.
BINDS: Resource = ("rbac.authorization.k8s.io", "clusterroles")

# The packages that are one function's alone.
SHARED = FUNCTIONS.parent / "shared" / "maxcloud"
PACKAGES = {
    "logs": SHARED / "logs",
    "reconcile": SHARED / "reconciling",
    "status": SHARED / "observing",
}

NAMES = sorted(path.stem for path in FUNCTIONS.glob("*.py"))

# Accounts of parts that are not our code: Eventing's adapter, and the job that migrates.
OTHERS: dict[str, Rights] = {"service-watcher": {SERVICES: {"get", "list", "watch"}}, "migrate": {}}


def code_of(function: str) -> Iterator[str]:
    """Return the code that is one function's alone."""
    files = [FUNCTIONS / f"{function}.py"]
    files += PACKAGES[function].glob("*.py") if function in PACKAGES else []
    return (path.read_text(encoding="utf-8") for path in files)


def used_by(function: str) -> Rights:
    """Return what the code of a function asks for."""
    code = "".join(code_of(function))
    used: Rights = {}
    for call in re.findall(r"\b(?:cluster|pods)\.([a-z_]+)\(", code):
        if verbs := CALLS_FOR_EACH_OF_A_NAMESPACE.get(call):
            for resource in OF_A_NAMESPACE:
                used.setdefault(resource, set()).update(verbs)
            if call == "isolate":
                used[BINDS] = {"bind"}
        else:
            resource, verb = CALLS[call]
            used.setdefault(resource, set()).add(verb)
    return used

"""The state of a platform: everything `maxcloud platform status` shows, as plain data."""

import json
from typing import Any

from maxcloud import __version__
from maxcloud_cli.platform import jobs, parts, plan
from maxcloud_cli.platform.cluster import Cluster
from maxcloud_cli.platform.errors import ClusterRefused, JobFailed, NotInstalled
from maxcloud_cli.platform.parts import (
    KNATIVE_VERSIONS,
    KSVC,
    NAMESPACES,
    OF_TENANTS,
    PARTS,
    SYSTEM,
)
from maxcloud_local import manifests

_DEPLOYMENT = ("apps/v1", "Deployment")
_POD = ("v1", "Pod")
_NAMESPACE = ("v1", "Namespace")
_INSTALLED = f"{plan.LABEL}={plan.OURS}"


def look(cluster: Cluster) -> dict[str, Any]:
    """Return the state of the platform; raises NotInstalled where there is none."""
    ksvcs = cluster.list(*KSVC, SYSTEM)
    if not ksvcs:
        raise NotInstalled(f"there is no max-cloud in this cluster: no function in {SYSTEM}")
    pods = [pod for namespace in NAMESPACES for pod in cluster.list(*_POD, namespace)]
    others = [
        {**each, "kind": kind}
        for version, kind in PARTS
        for each in cluster.list(version, kind, SYSTEM)
        # Each function has a route of its own, which is its own health.
        if not each["metadata"].get("ownerReferences")
    ]
    rows, trouble = _rows(cluster)
    services = cluster.list(*KSVC, labels=OF_TENANTS)
    namespaces = cluster.list(*_NAMESPACE, labels=OF_TENANTS)
    return {
        "versions": versions(cluster),
        "functions": parts.functions(ksvcs, pods),
        "parts": [
            *parts.others(others),
            *parts.workloads(cluster.list(*_DEPLOYMENT, SYSTEM, _INSTALLED)),
            *parts.missing(manifests.read(manifests.BASE), [*ksvcs, *others]),
        ],
        "rows": rows,
        "rows_trouble": trouble,
        "orphans": None if rows is None else parts.orphans(services, rows.pop("services")),
        "held": parts.held([*services, *namespaces]),
        "at_rest": parts.at_rest(pods, _memory(cluster)),
    }


def is_well(state: dict[str, Any]) -> bool:
    """Tell whether nothing of the platform needs somebody."""
    return state["rows"] is not None and all(
        each["ready"] for each in [*state["functions"], *state["parts"]]
    )


def versions(cluster: Cluster) -> dict[str, str]:
    """Return the versions of this command and of what the platform stands on."""
    return {
        "maxcloud": __version__,
        "Kubernetes": str(json.loads(cluster.read("/version"))["gitVersion"]),
        **{
            name: parts.version_of(cluster.get(*_DEPLOYMENT, deployment, namespace))
            for name, (namespace, deployment) in KNATIVE_VERSIONS.items()
        },
    }


def _rows(cluster: Cluster) -> tuple[dict[str, Any] | None, str]:
    try:
        return jobs.ask(cluster, "report"), ""
    except (JobFailed, ClusterRefused) as error:
        return None, str(error)


def _memory(cluster: Cluster) -> dict[tuple[str, str], int]:
    """Ask each node's kubelet, which needs no metrics server; a node that is silent is left out."""
    found: dict[tuple[str, str], int] = {}
    for node in cluster.list("v1", "Node"):
        try:
            said = cluster.read(f"/api/v1/nodes/{node['metadata']['name']}/proxy/metrics/resource")
        except (LookupError, ClusterRefused):
            continue
        found |= parts.memory_of_pods(said)
    return found

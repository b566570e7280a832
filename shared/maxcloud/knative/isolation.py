"""An organisation's namespace and what bounds it there. Pure.

Egress and ingress are those of Knative's data path and nothing else: between organisations traffic
goes through public URLs. Root images must run, hence Pod Security `baseline`. The quota bounds
what a namespace can ask of the cluster; what an organisation is sold is counted elsewhere.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from maxcloud.knative.manifests import Occupied, contains
from maxcloud.knative.objects import MANAGED, ORG, Manifest

OURS = "maxcloud"

# The cluster role of the function `logs`, deploy/base/access.yaml: bound here, not everywhere.
LOGS = "mc-logs"
# What the nodes pull from the private registry with, in each organisation's namespace.
PULL_SECRET = "maxcloud-registry"  # noqa: S105 - its name

# Where each kind of object stands in the API; the namespace itself first, for all others need it.
RESOURCES = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/serviceaccounts",
    "LimitRange": "/api/v1/limitranges",
    "ResourceQuota": "/api/v1/resourcequotas",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/networkpolicies",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "Secret": "/api/v1/secrets",
}

# Of these no other object than the one of this name is ours to see.
BY_NAME = {"Secret": PULL_SECRET}

# Knative: activator and queue-proxy, with TLS between them, and the queue-proxy's metrics.
_REQUEST_PORTS, _STATISTICS_PORT, _METRICS_PORT = (8012, 8013, 8112), 9090, 9091
_GATEWAY_PORTS = (8080, 8443)
_DNS_PORT = 53

# Addresses of a cluster and its machines (RFC 1918, RFC 6598, RFC 3927).
_INSIDE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
_INSIDE_IPV6 = ("fc00::/7", "fe80::/10")

_QUOTA = {
    "count/services.serving.knative.dev": "100",
    "pods": "200",
    "requests.cpu": "40",
    "requests.memory": "200Gi",
    "limits.memory": "250Gi",
    "persistentvolumeclaims": "0",
    "services.loadbalancers": "0",
    "services.nodeports": "0",
}


def objects(org_id: UUID, namespace: str) -> list[Manifest]:
    """Return the namespace of an organisation and all that belongs to it, in order of creation."""
    return [
        _object("Namespace", org_id, namespace, "", labels=_POD_SECURITY),
        _object("ServiceAccount", org_id, "default", namespace, automountServiceAccountToken=False),
        _object("LimitRange", org_id, OURS, namespace, spec={"limits": [_LIMITS]}),
        _object("ResourceQuota", org_id, OURS, namespace, spec={"hard": _QUOTA}),
        _object("NetworkPolicy", org_id, OURS, namespace, spec=_policy()),
        _object("RoleBinding", org_id, LOGS, namespace, **_LOGS_ARE_READ),
    ]


def pull_secret(org_id: UUID, namespace: str, host: str, user: str, key: str) -> Manifest:
    """Return the Secret that lets an organisation's pods pull from a registry."""
    auth = base64.b64encode(f"{user}:{key}".encode()).decode()
    config = json.dumps({"auths": {host: {"username": user, "password": key, "auth": auth}}})
    data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
    named = ("Secret", org_id, PULL_SECRET, namespace)
    return _object(*named, type="kubernetes.io/dockerconfigjson", data=data)


def path_of(wanted: Manifest) -> tuple[str, str]:
    """Return the path of an object's collection, and its own."""
    collection, namespace = RESOURCES[wanted["kind"]], wanted["metadata"].get("namespace")
    if namespace:
        root, _, plural = collection.rpartition("/")
        collection = f"{root}/namespaces/{namespace}/{plural}"
    return collection, f"{collection}/{wanted['metadata']['name']}"


def replacement(live: Manifest, wanted: Manifest) -> Manifest | None:
    """Return what to put in place of `live`, or None when it is as wanted already.

    What others have added stays. Raises Occupied for a namespace that is not ours.
    """
    if contains(live, wanted):
        return None
    labels = live["metadata"].get("labels", {})
    if wanted["kind"] == "Namespace" and labels.get(ORG) != wanted["metadata"]["labels"][ORG]:
        raise Occupied(f"there is another namespace named {live['metadata']['name']}")
    metadata = {**live["metadata"], "labels": {**labels, **wanted["metadata"]["labels"]}}
    metadata.pop("managedFields", None)
    return {**live, **wanted, "metadata": metadata}


def is_whole(wanted: Iterable[Manifest], live: Mapping[tuple[str, str, str], Manifest]) -> bool:
    """Tell whether the cluster has all of these objects, by `key_of`."""
    return all(contains(live.get(key_of(each)), each) for each in wanted)


def key_of(manifest: Manifest) -> tuple[str, str, str]:
    """Return what tells an object from all others."""
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def _object(
    kind: str,
    org_id: UUID,
    name: str,
    namespace: str,
    *,
    labels: Mapping[str, str] | None = None,
    **body: Any,
) -> Manifest:
    version = RESOURCES[kind].rpartition("/")[0].removeprefix("/apis/").removeprefix("/api/")
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": name,
            **place,
            "labels": {MANAGED: "true", ORG: str(org_id), **(labels or {})},
        },
        **body,
    }


_LOGS_ARE_READ: Manifest = {
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": LOGS},
    "subjects": [{"kind": "ServiceAccount", "name": "logs", "namespace": "mc-system"}],
}

_POD_SECURITY = {"pod-security.kubernetes.io/enforce": "baseline"}

# For a container that says nothing; ours all do.
_LIMITS = {
    "type": "Container",
    "default": {"cpu": "1", "memory": "512Mi"},
    "defaultRequest": {"cpu": "10m", "memory": "32Mi"},
}


def _policy() -> Manifest:
    gateway = _pods("kourier-system", app="3scale-kourier-gateway")
    return {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [_pods("knative-serving", app="activator"), gateway],
                "ports": _tcp(*_REQUEST_PORTS),
            },
            {
                "from": [_pods("knative-serving", app="autoscaler")],
                "ports": _tcp(_STATISTICS_PORT),
            },
            {"from": [_pods("monitoring")], "ports": _tcp(_METRICS_PORT)},
        ],
        "egress": [
            {
                "to": [_pods("kube-system", **{"k8s-app": "kube-dns"})],
                "ports": [{"port": _DNS_PORT, "protocol": "UDP"}, *_tcp(_DNS_PORT)],
            },
            # The way to public URLs, of one's own services too.
            {"to": [gateway], "ports": _tcp(*_GATEWAY_PORTS)},
            {
                "to": [
                    {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(_INSIDE)}},
                    {"ipBlock": {"cidr": "::/0", "except": list(_INSIDE_IPV6)}},
                ]
            },
        ],
    }


def _pods(namespace: str, **labels: str) -> Manifest:
    selected: Manifest = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    }
    return {**selected, "podSelector": {"matchLabels": labels}} if labels else selected


def _tcp(*ports: int) -> list[Manifest]:
    return [{"port": port, "protocol": "TCP"} for port in ports]

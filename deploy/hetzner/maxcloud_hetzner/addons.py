"""What a cluster at Hetzner needs before anything else runs in it, as data.

k3s installs charts by itself, from its own objects: a chart's version and values stand here, and
applying them again with others is an upgrade.
"""

import json
from typing import Any

from maxcloud_hetzner.plan import LABEL

CHARTS = "https://charts.hetzner.cloud"
CLOUD_CONTROLLER, CSI = "1.35.0", "2.22.1"

Object = dict[str, Any]


def objects(cluster: str, token: str, network: int) -> list[Object]:
    """Return the token's Secret and the two charts that read it."""
    return [_secret(token, network), _cloud_controller(), _csi(cluster)]


def _secret(token: str, network: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "hcloud", "namespace": "kube-system"},
        "stringData": {"token": token, "network": str(network)},
    }


def _cloud_controller() -> Object:
    """Return what knows machines and makes load balancers; pods' routes are flannel's."""
    network = {"valueFrom": {"secretKeyRef": {"name": "hcloud", "key": "network"}}}
    values = {
        "env": {"HCLOUD_NETWORK": network, "HCLOUD_NETWORK_ROUTES_ENABLED": {"value": "false"}},
        "resources": {
            "requests": {"cpu": "20m", "memory": "50Mi"},
            "limits": {"memory": "256Mi"},
        },
    }
    # `bootstrap`: until it runs, every machine is tainted, and its own installer must not wait.
    return _chart("hcloud-cloud-controller-manager", CLOUD_CONTROLLER, values, bootstrap=True)


def _csi(cluster: str) -> Object:
    """Return what makes volumes; they carry the cluster's label, for a teardown to find."""
    values = {"controller": {"volumeExtraLabels": {LABEL: cluster}}}
    return _chart("hcloud-csi", CSI, values, bootstrap=False)


def _chart(name: str, version: str, values: Object, *, bootstrap: bool) -> Object:
    return {
        "apiVersion": "helm.cattle.io/v1",
        "kind": "HelmChart",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {
            "repo": CHARTS,
            "chart": name,
            "version": version,
            "targetNamespace": "kube-system",
            "bootstrap": bootstrap,
            "valuesContent": json.dumps(values, indent=1),
        },
    }

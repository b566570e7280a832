"""The settings of the node's processes: the files of the state folder, as data."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.components import PAUSE_IMAGE
from tests.cluster.environment import (
    DNS_SERVICE_ADDRESS,
    NODE_ADDRESS,
    NODE_GATEWAY_PORT,
    POD_RANGE,
    REGISTRY,
    REGISTRY_HOST,
    REGISTRY_PORT,
    STATE,
)
from tests.cluster.processes import CLUSTER_DOMAIN, CONTAINERD_SOCKET, HOSTNAME, PKI

KERNEL_SETTINGS = {
    "sys/vm/overcommit_memory": "1",
    "sys/vm/panic_on_oom": "0",
    "sys/kernel/panic": "10",
    "sys/kernel/panic_on_oops": "1",
    "sys/kernel/keys/root_maxkeys": "1000000",
    "sys/kernel/keys/root_maxbytes": "25000000",
}
"""What the kubelet wants of the whole machine. It is shown files that say so, under /proc."""


def files() -> dict[str, str]:
    """Every file: its path in the state folder → its content."""
    documents = {
        "kubelet.json": kubelet(),
        "kube-proxy.json": kube_proxy(),
        "cni/pods.conflist": pod_network(),
        "registry.json": registry(),
    }
    private = f"certs.d/{PRIVATE_REGISTRY}/hosts.toml"
    return {
        **{path: json.dumps(document, indent=1) for path, document in documents.items()},
        **KERNEL_SETTINGS,
        "containerd.toml": CONTAINERD,
        f"certs.d/{REGISTRY}/hosts.toml": REGISTRY_AS_CONTAINERD_SEES_IT,
        private: PRIVATE_REGISTRY_AS_CONTAINERD_SEES_IT,
        "hosts": HOSTS,
        "resolv.conf": f"nameserver {DNS_SERVICE_ADDRESS}\n",
    }


def know_private_registry() -> None:
    """Write what lets the node pull from the platform's registry, on a cluster that was without.

    Neither file is put in place of another: the node's mounts hold the ones that there are.
    """
    written = files()
    for path in ("hosts", f"certs.d/{PRIVATE_REGISTRY}/hosts.toml"):
        (STATE / path).parent.mkdir(parents=True, exist_ok=True)
        (STATE / path).write_text(written[path])


def kubelet() -> dict[str, Any]:
    """The kubelet's settings; the first five are what lets it run without full rights.

    Nothing is evicted and no image collected: an image that was imported cannot be pulled again.
    For the same reason nobody is asked to prove by a pull that an imported image is his, which
    the kubelet wants of those that came from the registry.
    """
    never = ("nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": False,
        "featureGates": {"KubeletInUserNamespace": True},
        "cgroupDriver": "cgroupfs",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "failSwapOn": False,
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": str(PKI / "kubernetes-ca.crt")},
        },
        "clusterDomain": CLUSTER_DOMAIN,
        "clusterDNS": [DNS_SERVICE_ADDRESS],
        "resolvConf": str(STATE / "resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "serializeImagePulls": False,
        "imageGCHighThresholdPercent": 100,
        "imagePullCredentialsVerificationPolicy": "NeverVerifyAllowlistedImages",
        "preloadedImagesVerificationAllowlist": ["dev.local/*"],
        "evictionHard": {"memory.available": "100Mi", **dict.fromkeys(never, "0%")},
        "maxPods": 250,
    }


def kube_proxy() -> dict[str, Any]:
    """kube-proxy's settings; zeros leave the connection tracking as the machine has it."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": POD_RANGE,
        "clientConnection": {"kubeconfig": str(PKI / "kube-proxy.kubeconfig")},
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def pod_network() -> dict[str, Any]:
    """The pods' network: each has a link and a route of its own, which needs no bridge filter."""
    address = {"type": "host-local", "subnet": POD_RANGE, "dataDir": "/run/cni"}
    routes = {"routes": [{"dst": "0.0.0.0/0"}]}
    link = {"type": "ptp", "ipMasq": False, "ipam": {**address, **routes}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [link]}


def registry() -> dict[str, Any]:
    """Distribution's settings: storage on disk, deletes allowed, no authentication."""
    certificate = {"certificate": str(PKI / "registry.crt"), "key": str(PKI / "registry.key")}
    storage = {
        "filesystem": {"rootdirectory": str(STATE / "registry")},
        "delete": {"enabled": True},
    }
    return {
        "version": 0.1,
        "log": {"level": "info"},
        "storage": storage,
        "http": {"addr": f":{REGISTRY_PORT}", "tls": certificate},
    }


CONTAINERD = f"""version = 2
root = "{STATE}/containerd"
state = "/run/containerd"
[grpc]
address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
path = "{STATE}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{STATE}/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{STATE}/certs.d"
"""

REGISTRY_AS_CONTAINERD_SEES_IT = f"""server = "https://{REGISTRY}"
[host."https://{REGISTRY}"]
ca = "{PKI}/test-ca.crt"
"""

PRIVATE_REGISTRY_HOST = "registry.localhost"
PRIVATE_REGISTRY = f"{PRIVATE_REGISTRY_HOST}:{NODE_GATEWAY_PORT}"
"""The platform's own registry, which the gateway leads to: without TLS, as all of it here."""

PRIVATE_REGISTRY_AS_CONTAINERD_SEES_IT = f"""server = "http://{PRIVATE_REGISTRY}"
[host."http://{PRIVATE_REGISTRY}"]
capabilities = ["pull", "resolve"]
"""

HOSTS = f"""127.0.0.1 localhost
{NODE_ADDRESS} {HOSTNAME} {REGISTRY_HOST} {PRIVATE_REGISTRY_HOST}
"""

"""What the node runs: its processes and their command lines, as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.cluster.environment import (
    API_SERVICE_ADDRESS,
    GATEWAY_PORT,
    NODE_ADDRESS,
    NODE_GATEWAY_PORT,
    SERVICE_RANGE,
    STATE,
)

HOSTNAME = "maxcloud"
PKI = STATE / "pki"
API_SERVER = f"https://{NODE_ADDRESS}:6443"
CONTAINERD_SOCKET = STATE / "containerd.sock"
CLUSTER_DOMAIN = "cluster.local"
ISSUER = f"https://kubernetes.default.svc.{CLUSTER_DOMAIN}"

API_SERVER_NAMES = ",".join(
    [
        *(f"DNS:kubernetes{rest}" for rest in ("", ".default", ".default.svc")),
        f"DNS:kubernetes.default.svc.{CLUSTER_DOMAIN}",
        f"DNS:localhost,IP:127.0.0.1,IP:{API_SERVICE_ADDRESS},IP:{NODE_ADDRESS}",
    ]
)

USERS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "kubelet": f"/O=system:nodes/CN=system:node:{HOSTNAME}",
    "policies": "/CN=maxcloud:policies",
}
"""Who talks to the API server, each with a kubeconfig of its own: name → subject."""


@dataclass(frozen=True)
class Process:
    """A process of the node; `on_machine` puts it into the machine's own network."""

    name: str
    command: list[str]
    on_machine: bool = False

    @property
    def log(self) -> Path:
        return STATE / "logs" / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        """Holds the process's id as the node's processes see it."""
        return STATE / f"{self.name}.pid"


def processes() -> list[Process]:
    """The processes of the node; none waits for another, each tries until it gets on."""

    def command(name: str, **flags: str | Path) -> list[str]:
        given = [f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items()]
        return [str(STATE / "bin" / name), *given]

    api_server = command(
        "kube-apiserver",
        etcd_servers="http://127.0.0.1:2379",
        advertise_address=NODE_ADDRESS,
        service_cluster_ip_range=SERVICE_RANGE,
        service_node_port_range=f"{NODE_GATEWAY_PORT}-32767",
        authorization_mode="Node,RBAC",
        enable_admission_plugins="NodeRestriction",
        allow_privileged="true",
        client_ca_file=PKI / "kubernetes-ca.crt",
        tls_cert_file=PKI / "kube-apiserver.crt",
        tls_private_key_file=PKI / "kube-apiserver.key",
        kubelet_client_certificate=PKI / "admin.crt",
        kubelet_client_key=PKI / "admin.key",
        service_account_issuer=ISSUER,
        service_account_key_file=PKI / "service-accounts.key",
        service_account_signing_key_file=PKI / "service-accounts.key",
    )
    controller_manager = command(
        "kube-controller-manager",
        kubeconfig=PKI / "kube-controller-manager.kubeconfig",
        root_ca_file=PKI / "kubernetes-ca.crt",
        service_account_private_key_file=PKI / "service-accounts.key",
        use_service_account_credentials="true",
        leader_elect="false",
    )
    scheduler = command(
        "kube-scheduler", kubeconfig=PKI / "kube-scheduler.kubeconfig", leader_elect="false"
    )
    kubelet = command(
        "kubelet",
        config=STATE / "kubelet.json",
        kubeconfig=PKI / "kubelet.kubeconfig",
        node_ip=NODE_ADDRESS,
    )
    # It is not told the node ports, at which it would let pods in: kube-proxy leads those on before
    # its rules, and what else listens in so wide a range, the kubelet, is not for pods.
    policies = command(
        "policies",
        kubeconfig=PKI / "policies.kubeconfig",
        hostname_override=HOSTNAME,
        service_cluster_ip_range=SERVICE_RANGE,
    )
    # In memory: the data ends with the cluster, and no disk slows the API down.
    etcd = command("etcd", data_dir="/run/etcd", unsafe_no_fsync="true")
    containerd = ["containerd", "--config", str(STATE / "containerd.toml")]
    forward = [f"127.0.0.1:{GATEWAY_PORT}", f"{NODE_ADDRESS}:{NODE_GATEWAY_PORT}"]
    return [
        Process("etcd", etcd),
        Process("containerd", containerd),
        Process("kube-apiserver", api_server),
        Process("kube-controller-manager", controller_manager),
        Process("kube-scheduler", scheduler),
        Process("kubelet", kubelet),
        Process("kube-proxy", command("kube-proxy", config=STATE / "kube-proxy.json")),
        Process("policies", policies),
        Process("registry", [*command("registry"), "serve", str(STATE / "registry.json")]),
        Process("forward", [*command("forward"), *forward], on_machine=True),
    ]

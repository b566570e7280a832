"""The state folder of a new cluster: its certificates, kubeconfigs and settings."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.cluster.certificates import Authority
from tests.cluster.environment import (
    CA_FILE,
    FAR_ADDRESSES,
    HOST_ADDRESS,
    KUBECONFIG,
    NODE_ADDRESS,
    NODE_LINK,
    POD_RANGE,
    REGISTRY_HOST,
    SERVICE_RANGE,
    STATE,
    run,
)
from tests.cluster.processes import API_SERVER, API_SERVER_NAMES, HOSTNAME, PKI, USERS, processes
from tests.cluster.settings import KERNEL_SETTINGS, files

LINK = "maxcloud"
"""The machine's end of the cable to the node; its removal takes the routes with it."""

COVERED = (Path("/var/lib/kubelet"), Path("/var/lib/cni"))
"""Folders with fixed names that the node's own mounts cover."""

SPECIFICATION = STATE / "node.json"
"""What `init` reads: mounts, links and processes."""


def write(programs: Sequence[Path]) -> None:
    """Write everything that the node's first process and its children read.

    `programs` are the folders of the Go binaries.
    """
    for name in ("pki", "logs", "kubelet", "registry", "bin"):
        (STATE / name).mkdir(parents=True, exist_ok=True)
    STATE.chmod(0o700)
    for program in (each for folder in programs for each in folder.iterdir()):
        (STATE / "bin" / program.name).symlink_to(program)
    for folder in COVERED:
        folder.mkdir(parents=True, exist_ok=True)
    for path, text in files().items():
        (STATE / path).parent.mkdir(parents=True, exist_ok=True)
        (STATE / path).write_text(text)
    _write_certificates()
    SPECIFICATION.write_text(json.dumps(_specification(), indent=1))


def _write_certificates() -> None:
    kubernetes = Authority(PKI, "kubernetes-ca")
    test = Authority(PKI, CA_FILE.stem)
    kubernetes.create()
    test.create()
    kubernetes.issue("kube-apiserver", "/CN=kube-apiserver", API_SERVER_NAMES)
    test.issue("registry", f"/CN={REGISTRY_HOST}", f"DNS:{REGISTRY_HOST}")
    run(["openssl", "genrsa", "-out", str(PKI / "service-accounts.key"), "2048"])
    for user, subject in USERS.items():
        certificate, key = kubernetes.issue(user, subject)
        path = KUBECONFIG if user == "admin" else PKI / f"{user}.kubeconfig"
        path.touch(0o600)
        path.write_text(json.dumps(_kubeconfig(kubernetes.certificate, certificate, key)))


def _kubeconfig(authority: Path, certificate: Path, key: Path) -> dict[str, Any]:
    def data(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    cluster = {"server": API_SERVER, "certificate-authority-data": data(authority)}
    user = {"client-certificate-data": data(certificate), "client-key-data": data(key)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": LINK, "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": LINK, "context": {"cluster": LINK, "user": "user"}}],
        "current-context": LINK,
    }


def _specification() -> dict[str, Any]:
    described = [
        {**asdict(process), "log": str(process.log), "pid_file": str(process.pid_file)}
        for process in processes()
    ]
    return {
        "hostname": HOSTNAME,
        "mounts": _mounts(),
        "machine_links": _machine_links(),
        "links": _links(),
        "processes": described,
    }


def _mounts() -> list[list[str]]:
    binds = {"logs": "/var/log", "kubelet": "/var/lib/kubelet", "hosts": "/etc/hosts"}
    binds |= {name: f"/proc/{name}" for name in KERNEL_SETTINGS}
    return [
        *(["mount", "--bind", str(STATE / name), target] for name, target in binds.items()),
        *(["mount", "-t", "tmpfs", "maxcloud", target] for target in ("/run", "/var/lib/cni")),
        ["mount", "--make-rshared", "/"],
    ]


def _machine_links() -> list[list[str]]:
    """The machine's side: a cable whose other end is the node's, and the ways to its pods."""
    ranges = (POD_RANGE, SERVICE_RANGE)
    return [
        ["ip", "link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", "1"],
        *(["ip", "address", "add", each, "dev", LINK] for each in (NODE_LINK, *FAR_ADDRESSES)),
        ["ip", "link", "set", LINK, "up"],
        *(["ip", "route", "add", target, "via", NODE_ADDRESS] for target in ranges),
    ]


def _links() -> list[list[str]]:
    """The node's side.

    Services are addresses that only packet rules know, yet a packet needs a route to meet
    them. Everything beyond is refused at once: the cluster has no way to the Internet, and
    two addresses of the machine stand for what is far.
    """
    far = (SERVICE_RANGE, *FAR_ADDRESSES)
    return [
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{NODE_ADDRESS}/30", "dev", "eth0"],
        ["ip", "link", "set", "eth0", "up"],
        *(["ip", "route", "add", each, "via", HOST_ADDRESS] for each in far),
        ["ip", "route", "add", "unreachable", "default"],
        ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"],
    ]

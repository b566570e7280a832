"""Every object of a new cluster, as data: Knative's own YAML with what one small node changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import components
from tests.cluster.components import EVENTING, KOURIER, SERVING, image_of
from tests.cluster.environment import (
    CA_FILE,
    DNS_SERVICE_ADDRESS,
    HOST_ADDRESS,
    NODE_ADDRESS,
    NODE_GATEWAY_PORT,
    REGISTRY_HOST,
    SYSTEM_NAMESPACE,
)

Object = dict[str, Any]

CONFIGURATION = {
    "knative.dev/networking": ["config"],
    "knative.dev/caching": ["config"],
    SERVING: ["config/core"],
    KOURIER: ["config"],
    EVENTING: [
        "config/core",
        "config/channels/in-memory-channel",
        "config/brokers/mt-channel-broker",
    ],
}
"""Module → the folders of its YAML that make up what the platform uses."""

UNUSED = {"job-sink", "request-reply"}
"""Workloads of Eventing, and their Services, that the platform has no use for."""

WORKLOADS = {"Deployment", "StatefulSet", "Service"}
SCALERS = {"HorizontalPodAutoscaler", "PodDisruptionBudget"}
"""Kinds for many nodes; without a metrics server they only complain."""

CA_NAME = "mc-test-ca"
CA_NAMESPACES = (SYSTEM_NAMESPACE, "knative-serving")
PROGRAM_REFERENCE = re.compile(r"ko://(\S+)")

ABSENT = "dev.local/absent:1"
"""Stands for images of sources and sinks that this cluster has no use for."""


def all_objects(folders: dict[str, Path]) -> list[Object]:
    """Names, authority and Knative; `folders` says where each module's sources lie."""
    return [*system_objects(), *ca_objects(), *knative_objects(folders)]


def system_objects() -> list[Object]:
    """The objects of manifests/system.yaml, its `$(NAME)` replaced."""
    values = {
        "NODE_ADDRESS": NODE_ADDRESS,
        "HOST_ADDRESS": HOST_ADDRESS,
        "REGISTRY_HOST": REGISTRY_HOST,
        "DNS_SERVICE_ADDRESS": DNS_SERVICE_ADDRESS,
        "COREDNS_IMAGE": image_of(f"{components.OWN}/coredns"),
    }
    text = (Path(__file__).parent / "manifests" / "system.yaml").read_text()
    return list(yaml.safe_load_all(re.sub(r"\$\((\w+)\)", lambda name: values[name[1]], text)))


def ca_objects() -> list[Object]:
    """The test authority as a ConfigMap, for the platform and for Knative's own look-ups."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CA_NAME, "namespace": namespace},
            "data": {"ca.crt": CA_FILE.read_text()},
        }
        for namespace in CA_NAMESPACES
    ]


def knative_objects(folders: dict[str, Path]) -> list[Object]:
    """Every object of the modules' YAML that this cluster uses, changed as it needs."""
    shipped = [item for item in _shipped(folders) if _used(item)]
    return [*(adapt(item) for item in shipped), *_image_maps(shipped)]


def adapt(item: Object) -> Object:
    """One shipped object as it is applied: our images, small requests, our ingress."""
    changed: Object = _replace_references(item)
    name, kind = changed["metadata"]["name"], changed["kind"]
    if kind == "Deployment":
        for container in changed["spec"]["template"]["spec"]["containers"]:
            _shrink(container)
    if change := CHANGES.get((kind, name)):
        change(changed)
    return changed


def _use_kourier(config: Object) -> None:
    config["data"]["ingress-class"] = "kourier.ingress.networking.knative.dev"


def _open_gateway(service: Object) -> None:
    """A fixed node port, and `Local`: the gateway sees who really connects."""
    service["spec"] |= {"type": "NodePort", "externalTrafficPolicy": "Local"}
    for port in service["spec"]["ports"]:
        if port["name"] == "http2":
            port["nodePort"] = NODE_GATEWAY_PORT


def _use_envoy(deployment: Object) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = components.ENVOY_IMAGE


def _trust_registry(deployment: Object) -> None:
    """Serving's controller resolves tags itself, from an image that has no authorities."""
    pod = deployment["spec"]["template"]["spec"]
    pod.setdefault("volumes", []).append({"name": CA_NAME, "configMap": {"name": CA_NAME}})
    controller = pod["containers"][0]
    mount = {"name": CA_NAME, "mountPath": f"/etc/{CA_NAME}", "readOnly": True}
    controller.setdefault("volumeMounts", []).append(mount)
    controller["env"].append({"name": "SSL_CERT_FILE", "value": f"/etc/{CA_NAME}/ca.crt"})


CHANGES: dict[tuple[str, str], Callable[[Object], None]] = {
    ("ConfigMap", "config-network"): _use_kourier,
    ("Service", "kourier"): _open_gateway,
    ("Deployment", "3scale-kourier-gateway"): _use_envoy,
    ("Deployment", "controller"): _trust_registry,
}


def _shipped(folders: dict[str, Path]) -> Iterator[Object]:
    for module, names in CONFIGURATION.items():
        for name in names:
            for file in sorted((folders[module] / name).rglob("*.yaml")):
                yield from (item for item in yaml.safe_load_all(file.read_text()) if item)


def _used(item: Object) -> bool:
    unused = item["kind"] in WORKLOADS and item["metadata"]["name"] in UNUSED
    return item["kind"] not in SCALERS and not unused


def _replace_references(value: Any) -> Any:
    """Put our image where the YAML names a Go program (`ko://package`)."""
    if isinstance(value, dict):
        return {key: _replace_references(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_replace_references(entry) for entry in value]
    if isinstance(value, str):
        return PROGRAM_REFERENCE.sub(lambda found: image_of(found[1]), value)
    return value


def _shrink(container: Object) -> None:
    """Ask for little and probe at once: the node is small and a boot is waited for."""
    container["resources"] = {"requests": {"cpu": "10m", "memory": "32Mi"}}
    if probe := container.get("readinessProbe"):
        probe.pop("initialDelaySeconds", None)
        probe["periodSeconds"] = 1


def _image_maps(objects: list[Object]) -> list[Object]:
    """The ConfigMaps of images that containers ask for and the modules do not carry."""
    present = {item["metadata"]["name"] for item in objects if item["kind"] == "ConfigMap"}
    keys: dict[tuple[str, str], set[str]] = {}
    for item in objects:
        if item["kind"] == "Deployment":
            for container in item["spec"]["template"]["spec"]["containers"]:
                for variable in container.get("env", []):
                    reference = variable.get("valueFrom", {}).get("configMapKeyRef")
                    if reference and reference["name"] not in present:
                        place = (item["metadata"]["namespace"], reference["name"])
                        keys.setdefault(place, set()).add(reference["key"])
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace},
            "data": dict.fromkeys(sorted(names), ABSENT),
        }
        for (namespace, name), names in keys.items()
    ]

"""The network policies of the platform and of Knative, as data: what they say.

The network of the test cluster enforces them; what comes of it is in tests/keyed/test_reach.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
FILES = (
    *(DEPLOY / "base" / name for name in ("network.yaml", "distribution.yaml")),
    DEPLOY / "knative" / "network.yaml",
)

# The labels of pods, as Knative 1.23, net-kourier 1.21 and our manifests have them.
PODS: dict[str, tuple[str, dict[str, str]]] = {
    "a tenant's": ("mc-org-1", {"serving.knative.dev/service": "shop"}),
    "services": ("mc-system", {"serving.knative.dev/service": "services"}),
    "reconcile": ("mc-system", {"serving.knative.dev/service": "reconcile"}),
    "mailer": ("mc-system", {"serving.knative.dev/service": "mailer"}),
    "migrate": ("mc-system", {"maxcloud.dev/job": "migrate"}),
    "postgres": ("mc-system", {"app": "postgres"}),
    "registry": ("mc-system", {"serving.knative.dev/service": "registry"}),
    "logs": ("mc-system", {"serving.knative.dev/service": "logs"}),
    "distribution": ("mc-system", {"app": "distribution"}),
    "watcher": ("mc-system", {"eventing.knative.dev/sourceName": "services"}),
    "activator": ("knative-serving", {"app": "activator"}),
    "autoscaler": ("knative-serving", {"app": "autoscaler"}),
    "net-kourier": ("knative-serving", {"app": "net-kourier-controller"}),
    "webhook": ("knative-serving", {"app": "webhook"}),
    "gateway": ("kourier-system", {"app": "3scale-kourier-gateway"}),
    "broker": ("knative-eventing", {"eventing.knative.dev/brokerRole": "ingress"}),
    "filter": ("knative-eventing", {"eventing.knative.dev/brokerRole": "filter"}),
    "dispatcher": ("knative-eventing", {"messaging.knative.dev/role": "dispatcher"}),
    "events' webhook": (
        "knative-eventing",
        {"app.kubernetes.io/component": "eventing-webhook"},
    ),
    "the world": ("", {}),
}


def policies() -> Iterator[dict[str, Any]]:
    for file in FILES:
        for each in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if each["kind"] == "NetworkPolicy":
                yield each


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Kubernetes' label selectors, as far as the policies use them."""
    said: bool = selector.get("matchLabels", {}).items() <= labels.items()
    for each in selector.get("matchExpressions", []):
        value = labels.get(each["key"])
        said = said and value is not None and value in each.get("values", [value])
    return said


def is_peer(peer: dict[str, Any], own_namespace: str, pod: tuple[str, dict[str, str]]) -> bool:
    namespace, labels = pod
    if "ipBlock" in peer:
        return not namespace
    named = {"kubernetes.io/metadata.name": namespace}
    if "namespaceSelector" in peer:
        there = bool(namespace) and matches(peer["namespaceSelector"], named)
    else:
        there = namespace == own_namespace
    return there and matches(peer.get("podSelector", {}), labels)


def allows(direction: str, one: str, other: str, port: int) -> bool:
    """Whether the policies of `one` let it be reached by `other`, or reach it, at a port."""
    namespace, labels = PODS[one]
    ours = [
        each
        for each in policies()
        if each["metadata"]["namespace"] == namespace
        and direction in each["spec"]["policyTypes"]
        and matches(each["spec"]["podSelector"], labels)
    ]
    end = "from" if direction == "Ingress" else "to"
    rules = [rule for each in ours for rule in each["spec"].get(direction.lower(), [])]
    return not ours or any(
        (end not in rule or any(is_peer(peer, namespace, PODS[other]) for peer in rule[end]))
        and ("ports" not in rule or port in [each["port"] for each in rule["ports"]])
        for rule in rules
    )


def passes(sender: str, receiver: str, port: int) -> bool:
    leaves = allows("Egress", sender, receiver, port)
    return leaves and allows("Ingress", receiver, sender, port)


@pytest.mark.parametrize(
    ("receiver", "port"),
    [
        ("net-kourier", 18000),
        ("gateway", 9000),
        ("gateway", 8081),
        ("gateway", 8090),
        ("activator", 8012),
        ("activator", 8013),
        ("autoscaler", 8080),
        ("broker", 8080),
        ("filter", 8080),
        ("dispatcher", 8080),
        ("postgres", 5432),
        ("reconcile", 8012),
        ("reconcile", 8080),
        ("mailer", 8012),
        ("watcher", 8080),
        ("distribution", 5000),
    ],
)
@pytest.mark.parametrize("sender", ["a tenant's", "the world"])
def test_a_tenant_does_not_reach(sender: str, receiver: str, port: int) -> None:
    assert not passes(sender, receiver, port)


@pytest.mark.parametrize(
    ("sender", "receiver", "port"),
    [
        ("the world", "gateway", 8080),
        ("a tenant's", "gateway", 8443),
        ("gateway", "gateway", 8081),
        ("gateway", "activator", 8012),
        ("gateway", "net-kourier", 18000),
        ("net-kourier", "gateway", 8090),
        ("activator", "autoscaler", 8080),
        ("activator", "services", 8012),
        ("autoscaler", "services", 9090),
        ("services", "postgres", 5432),
        ("migrate", "postgres", 5432),
        ("services", "broker", 8080),
        ("watcher", "broker", 8080),
        ("broker", "dispatcher", 8080),
        ("dispatcher", "filter", 8080),
        ("filter", "gateway", 8081),
        ("dispatcher", "gateway", 8081),
        ("the world", "webhook", 8443),
        ("the world", "events' webhook", 8443),
        ("reconcile", "the world", 443),
        ("reconcile", "the world", 5000),
        ("mailer", "the world", 587),
        ("logs", "the world", 6443),
        ("registry", "distribution", 5000),
        ("reconcile", "distribution", 5000),
        ("gateway", "distribution", 5000),
        ("distribution", "gateway", 8081),
        ("watcher", "the world", 6443),
    ],
)
def test_what_the_platform_needs_passes(sender: str, receiver: str, port: int) -> None:
    assert passes(sender, receiver, port)


@pytest.mark.parametrize(
    ("sender", "receiver", "port"),
    [
        ("services", "the world", 443),
        ("mailer", "the world", 80),
        ("mailer", "broker", 18000),
        ("services", "reconcile", 8012),
        ("services", "distribution", 5000),
        ("registry", "the world", 443),
        ("postgres", "the world", 443),
        ("watcher", "postgres", 5432),
    ],
)
def test_a_function_reaches_no_more_than_it_needs(sender: str, receiver: str, port: int) -> None:
    assert not passes(sender, receiver, port)


def test_a_name_stands_once() -> None:
    placed = [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in policies()]
    assert len(placed) == len(set(placed))

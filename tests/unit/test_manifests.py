"""From a service's template to its Knative Service."""

from dataclasses import replace
from typing import Any

import pytest

from maxcloud.knative import manifests
from maxcloud.knative.isolation import PULL_SECRET
from maxcloud.knative.objects import Manifest
from maxcloud.models import Template
from tests.unit.shop import IMAGE, LABELS, ORG, as_wanted, wanted


def container(**settings: Any) -> Manifest:
    found: Manifest = wanted(**settings)["spec"]["template"]["spec"]["containers"][0]
    return found


REGISTRY = "registry.maxcloud.dev"


def pulled(image: str, registry: str = REGISTRY, secret: str = PULL_SECRET) -> Any:
    made = replace(
        as_wanted(), template=Template(image=image, port=80), registry=registry, pull_secret=secret
    )
    return manifests.service(made)["spec"]["template"]["spec"].get("imagePullSecrets")


def test_what_is_in_the_private_registry_is_pulled_with_its_secret() -> None:
    mine = f"{REGISTRY}/{ORG}/shop@sha256:{'a' * 64}"
    assert pulled(mine) == [{"name": PULL_SECRET}]
    assert pulled(mine.replace(REGISTRY, "REGISTRY.maxcloud.dev")) == [
        {"name": "maxcloud-registry"}
    ]
    assert pulled(mine, secret="") is None
    local = f"registry.localhost:8080/{ORG}/shop:1"
    assert pulled(local, "registry.localhost:8080") == [{"name": PULL_SECRET}]


@pytest.mark.parametrize(
    "host",
    [
        "registry.maxcloud.dev.evil.example",
        "registry.maxcloud.dev.",
        "registry.maxcloud.dev:443",
        "registry.maxcloud.dev:5000",
        "registry.maxcloud.dev:",
        "registry.maxcloud.dev@evil.example",
        "me:key@registry.maxcloud.dev",
        "evil.example:443/registry.maxcloud.dev",
        "evil.example/registry.maxcloud.dev",
        "registry-maxcloud.dev",
        "xregistry.maxcloud.dev",
        "registry.maxcloud.de",
        "registry.maxcloud",
        "maxcloud.dev",
        "www.registry.maxcloud.dev",
        "registry.maxcloud.dev\\.evil.example",
        "registry.maxcloud.dev%2f.evil.example",
        "registry.maxcloud.dev\u3002evil.example",
        "\u24e1egistry.maxcloud.dev",  # which NFKC makes an r
        "regi\u017ftry.maxcloud.dev",  # and this, in lower case, an s
        "registry.maxcloud.d\u0435v",  # Cyrillic
        "xn--registry.maxcloud.dev",
        "docker.io",
        "localhost",
    ],
)
def test_what_only_looks_like_the_registry_never_gets_the_secret(host: str) -> None:
    assert pulled(f"{host}/{ORG}/shop@sha256:{'a' * 64}") is None


def test_a_template_becomes_a_knative_service() -> None:
    assert wanted(
        port=3000,
        command=["/bin/sh"],
        args=["-c", "serve"],
        env_vars={"B": "2", "A": "1"},
        min_scale=1,
        max_scale=3,
        concurrency=5,
        cpu="500m",
        memory="1Gi",
        timeout_seconds=60,
    ) == {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": "shop",
            "namespace": "mc-org-2",
            "labels": LABELS,
            "annotations": {"maxcloud.dev/generation": "3"},
        },
        "spec": {
            "template": {
                "metadata": {
                    "name": "shop-00003",
                    "labels": LABELS,
                    "annotations": {
                        "autoscaling.knative.dev/min-scale": "1",
                        "autoscaling.knative.dev/max-scale": "3",
                        "serving.knative.dev/progress-deadline": "120s",
                    },
                },
                "spec": {
                    "containerConcurrency": 5,
                    "timeoutSeconds": 60,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "containers": [
                        {
                            "image": IMAGE,
                            "ports": [{"containerPort": 3000}],
                            "readinessProbe": {"tcpSocket": {"port": 0}, "periodSeconds": 1},
                            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                            "resources": {
                                "requests": {"cpu": "50m", "memory": "1Gi"},
                                "limits": {"cpu": "500m", "memory": "1Gi"},
                            },
                            "command": ["/bin/sh"],
                            "args": ["-c", "serve"],
                        }
                    ],
                },
            },
            "traffic": [{"latestRevision": True, "percent": 100}],
        },
    }


def test_what_is_not_chosen_is_left_to_the_image() -> None:
    assert container() == {
        "image": IMAGE,
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 0}, "periodSeconds": 1},
        "env": [],
        "resources": {
            "requests": {"cpu": "100m", "memory": "512Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
    }


@pytest.mark.parametrize(
    ("cpu", "limit", "request_"),
    [
        ("1", "1", "100m"),
        ("0.5", "500m", "50m"),
        ("1.50", "1500m", "150m"),
        ("1000m", "1", "100m"),
        ("10m", "10m", "10m"),
        ("1.001", "1001m", "100m"),
        ("64", "64", "6400m"),
        ("10.0", "10", "1"),
    ],
)
def test_cpus_are_written_as_kubernetes_keeps_them(cpu: str, limit: str, request_: str) -> None:
    resources = container(cpu=cpu)["resources"]
    assert (resources["limits"]["cpu"], resources["requests"]["cpu"]) == (limit, request_)


@pytest.mark.parametrize(
    ("memory", "kept"),
    [
        ("512Mi", "512Mi"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1048576Ki", "1Gi"),
        ("1000M", "1G"),
        ("1000000k", "1G"),
        ("536870912", "536870912"),
        ("100000000", "100M"),
        ("1024M", "1024M"),
    ],
)
def test_memory_is_written_as_kubernetes_keeps_it(memory: str, kept: str) -> None:
    assert container(memory=memory)["resources"]["limits"]["memory"] == kept

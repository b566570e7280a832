"""Parts of the platform and of Knative that die: how long until all is well again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from tests.cluster.environment import kubectl
from tests.cluster.install import environment, manifests
from tests.journeys.platform import Platform, eventually
from tests.knative.operating.test_upgrade import installed_image
from tests.knative.test_operators import operate, status

# Where each part's pods are.
DYING = {
    "broker": ("knative-eventing", "eventing.knative.dev/brokerRole=ingress"),
    "filter": ("knative-eventing", "eventing.knative.dev/brokerRole=filter"),
    "dispatcher": ("knative-eventing", "messaging.knative.dev/role=dispatcher"),
    "net-kourier": ("knative-serving", "app=net-kourier-controller"),
    "activator": ("knative-serving", "app=activator"),
    "adapter": ("mc-system", "eventing.knative.dev/sourceName=services"),
}

WITHIN_SECONDS = 180


@pytest.mark.parametrize("part", DYING)
def test_a_part_that_dies_is_back_and_services_are_deployed(
    platform: Platform, name: str, web: tuple[str, str], part: str
) -> None:
    namespace, label = DYING[part]
    kubectl("delete", "pods", "-n", namespace, "-l", label, "--force", "--grace-period=0")
    start = time.monotonic()
    kubectl("wait", "pods", "-n", namespace, "-l", label, "--for=condition=Ready", "--timeout=90s")
    up = time.monotonic() - start
    url = platform.maxcloud("deploy", web[0], "--name", name).out.strip()
    assert platform.get(url).status_code == 200
    print(
        f"{part}: its pods after {up:.1f} s, a deploy through it {time.monotonic() - start:.1f} s"
    )


def test_the_database_that_dies_is_back(platform: Platform) -> None:
    # Its container alone: on one machine the data lives as long as the pod.
    kubectl("exec", "postgres-0", "-n", "mc-system", "--", "sh", "-c", "kill -INT 1")
    start = time.monotonic()

    def answer() -> int:
        return int(platform.api("GET", "/api/v1/services").status_code)

    eventually("the API with its database", answer, WITHIN_SECONDS, lambda code: code == 200)
    print(f"postgres: the API after {time.monotonic() - start:.1f} s")


def test_a_route_that_is_gone_is_told_and_brought_back(platform: Platform, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    objects = list(yaml.safe_load_all(manifests(installed_image())))
    overlay.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    kubectl("delete", "ingresses.networking.internal.knative.dev", "api", "-n", "mc-system")
    start = time.monotonic()
    [told] = [each for each in status(code=1)["parts"] if not each["ready"]]
    assert (told["kind"], told["name"]) == ("Ingress", "api")
    operate("install", "--manifests", str(overlay), env=environment())
    assert platform.api("GET", "/healthz").status_code == 200
    print(f"the route: told and brought back in {time.monotonic() - start:.1f} s")

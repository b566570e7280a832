"""Parts of the platform and of Knative that die or vanish: how long until all is well again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.environment import kubectl
from tests.cluster.install import environment, manifests
from tests.journeys.platform import Platform, eventually
from tests.knative.operating.support import HOLD, hold, installed_image, seconds
from tests.knative.test_operators import operate, status

# Where each part's pods are.
DYING = {
    "broker": ("knative-eventing", "eventing.knative.dev/brokerRole=ingress"),
    "filter": ("knative-eventing", "eventing.knative.dev/brokerRole=filter"),
    "dispatcher": ("knative-eventing", "messaging.knative.dev/role=dispatcher"),
    "adapter": ("mc-system", "eventing.knative.dev/sourceName=services"),
    "net-kourier": ("knative-serving", "app=net-kourier-controller"),
    "activator": ("knative-serving", "app=activator"),
    "autoscaler": ("knative-serving", "app=autoscaler"),
}

ROUTES = "ingresses.networking.internal.knative.dev"


def pods(namespace: str, label: str) -> dict[str, bool]:
    """Return the pods by uid, and whether each is ready."""
    found = json.loads(kubectl("get", "pods", "-n", namespace, "-l", label, "-o", "json"))["items"]
    return {each["metadata"]["uid"]: is_ready(each) for each in found}


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return {"Ready": "True"}.items() <= {
        each["type"]: each["status"] for each in conditions
    }.items()


@pytest.mark.parametrize("part", DYING)
def test_a_part_that_dies_is_back_and_services_are_deployed(
    platform: Platform, name: str, web: tuple[str, str], part: str
) -> None:
    before = pods(*DYING[part])
    assert before
    namespace, label = DYING[part]
    start = time.monotonic()
    kubectl("delete", "pods", "-n", namespace, "-l", label, "--force", "--grace-period=0")

    def others() -> list[bool]:
        return [ready for uid, ready in pods(*DYING[part]).items() if uid not in before]

    up = seconds(part, others, lambda found: bool(found) and all(found))
    url = platform.maxcloud("deploy", web[0], "--name", name).out.strip()
    assert platform.get(url).status_code == 200
    print(f"{part}: its pods after {up:.1f} s, a deploy after {time.monotonic() - start:.1f} s")


def test_the_database_that_dies_is_back(platform: Platform) -> None:
    def starts() -> str:
        path = "jsonpath={.status.containerStatuses[0].restartCount}"
        return kubectl("get", "pod", "postgres-0", "-n", "mc-system", "-o", path)

    before = starts()
    # Its container alone: on one machine the data lives as long as the pod.
    kubectl("exec", "postgres-0", "-n", "mc-system", "--", "sh", "-c", "kill -INT 1")
    took = seconds("its container", starts, lambda now: now != before)

    def answer() -> int:
        return int(platform.api("GET", "/api/v1/services").status_code)

    took += seconds("the API with its database", answer, lambda code: code == 200)
    print(f"postgres: the API after {took:.1f} s")


def test_the_apis_route_and_the_settings_that_are_gone_are_brought_back(
    platform: Platform, tmp_path: Path
) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(manifests(installed_image()), encoding="utf-8")
    kubectl("delete", ROUTES, "api", "-n", "mc-system")
    start = time.monotonic()
    [told] = [each for each in status(code=1)["parts"] if not each["ready"]]
    assert (told["kind"], told["name"]) == ("Ingress", "api")
    kubectl("delete", "configmap", "platform", "-n", "mc-system")
    operate("install", "--manifests", str(overlay), env=environment())
    assert platform.api("GET", "/healthz").status_code == 200
    took = time.monotonic() - start
    print(f"the API's route, and its settings: told and brought back in {took:.1f} s")


def test_a_route_of_a_service_that_is_gone_comes_back_by_itself(
    platform: Platform, name: str, web: tuple[str, str]
) -> None:
    url = platform.maxcloud("deploy", web[0], "--name", name).out.strip()

    def route() -> str:
        found = ("get", ROUTES, name, "-n", "default", "--ignore-not-found")
        return kubectl(*found, "-o", "jsonpath={.metadata.uid}")

    before = route()
    assert before
    kubectl("delete", ROUTES, name, "-n", "default")
    took = seconds("the route", route, lambda now: now not in {"", before})
    took += seconds("the page", lambda: platform.get(url).status_code, lambda code: code == 200)
    print(f"a service's route: its page after {took:.1f} s")
    assert platform.api("GET", f"/api/v1/services/{name}").json()["status"] == "ready"


def test_a_service_that_something_holds_is_told_and_goes_when_it_is_let_go(
    platform: Platform, name: str, web: tuple[str, str]
) -> None:
    platform.maxcloud("deploy", web[0], "--name", name)
    hold(name, "default", HOLD)
    still = platform.maxcloud("delete", name, "--yes", "--wait-timeout", "5", code=3)
    assert "goes on" in still.err
    assert platform.api("GET", f"/api/v1/services/{name}").json()["status"] == "deleting"
    assert platform.maxcloud("deploy", web[0], "--name", name, code=1).err
    [held] = status()["held"]
    assert (held["kind"], held["name"]) == ("Service", f"default/{name}")
    assert HOLD in held["by"]

    hold(name, "default")
    path = f"/api/v1/services/{name}"
    took = seconds("its end", lambda: platform.api("GET", path).status_code, lambda c: c == 404)
    print(f"a service that was held: gone {took:.1f} s after")


def test_a_service_that_is_deleted_by_hand_and_held_comes_back_when_it_is_let_go(
    platform: Platform, name: str, web: tuple[str, str]
) -> None:
    url = platform.maxcloud("deploy", web[0], "--name", name).out.strip()
    hold(name, "default", HOLD)
    kubectl("delete", "ksvc", name, "-n", "default", "--wait=false")

    def row() -> Any:
        return platform.api("GET", f"/api/v1/services/{name}").json()

    told = eventually("the row", row, 60, lambda found: found["status"] == "pending")
    assert "it is being deleted in the cluster" in told["message"]
    hold(name, "default")
    took = seconds("the row", row, lambda found: found["status"] == "ready")
    assert platform.get(url).status_code == 200
    print(f"a service that was deleted by hand and held: ready {took:.1f} s after")


def test_all_is_well_after_all_of_that() -> None:
    def unwell() -> list[str]:
        found = status(code=None)
        return [each["name"] for each in found["parts"] + found["functions"] if not each["ready"]]

    took = seconds("the platform", unwell, lambda names: not names)
    print(f"all is well after {took:.1f} s")
    print(operate("status"))
    print(operate("dead-letters"))

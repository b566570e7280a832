"""Every overlay, and what an operator puts into a cluster at Hetzner: rendered, and looked at."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from maxcloud.store import database
from maxcloud_hetzner import addons, components, manifests, settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OVERLAYS = {path.parent.name: path.parent for path in DEPLOY.glob("overlays/*/kustomization.yaml")}
LAPTOP = DEPLOY / "laptop" / "knative"
HETZNER = [manifests.HETZNER / each for each in ("charts", "knative", "certificate", "database")]

Object = dict[str, Any]

# What no overlay runs: its container is Knative's own, in a Deployment that Knative releases.
PARTIAL = {("Service", "kourier")}

ENVIRONMENT = {
    "DNS_ZONE": "example.eu",
    "HETZNER_LOCATION": "fsn1",
    "HETZNER_S3_BUCKET": "example-maxcloud",
    "MAXCLOUD_IMAGE": "ghcr.io/you/maxcloud@sha256:" + "0" * 64,
}

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl here")


@cache
def text_of(folder: Path) -> str:
    command = ["kubectl", "kustomize", str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def rendered(folder: Path) -> list[Object]:
    text = manifests.filled(text_of(folder), manifests.values(ENVIRONMENT))
    return [each for each in yaml.safe_load_all(text) if each]


def name_of(thing: Object) -> tuple[str, str, str, str]:
    metadata = thing["metadata"]
    return (thing["apiVersion"], thing["kind"], metadata.get("namespace", ""), metadata["name"])


def containers(thing: Object) -> Iterator[Object]:
    pod = thing.get("spec", {}).get("template", {}).get("spec", {})
    yield from [*pod.get("initContainers", []), *pod.get("containers", [])]


def with_folders() -> list[Any]:
    folders = [*OVERLAYS.values(), *HETZNER, LAPTOP]
    return [pytest.param(each, id=str(each.relative_to(DEPLOY))) for each in folders]


@pytest.mark.parametrize("folder", with_folders())
def test_nothing_is_there_twice(folder: Path) -> None:
    names = [name_of(each) for each in rendered(folder)]
    assert len(names) == len(set(names))
    assert names


@pytest.mark.parametrize("folder", with_folders())
def test_every_image_is_pinned(folder: Path) -> None:
    for thing in rendered(folder):
        images = [each["image"] for each in containers(thing)]
        images += [thing["spec"]["imageName"]] if thing["kind"] == "Cluster" else []
        for image in images:
            last = image.rpartition("/")[2]
            assert "@sha256:" in image or re.search(r":[^:]+$", last), image
            assert not image.endswith(":latest")
            # Somebody else's in production by a version, never by a word that moves.
            if folder.name == "production" and "@sha256:" not in image:
                assert re.search(r":v?[0-9]+\.[0-9]+\.[0-9]+", last), image


@pytest.mark.parametrize("folder", [pytest.param(each, id=name) for name, each in OVERLAYS.items()])
def test_every_container_is_bounded_and_asked_whether_it_is_ready(folder: Path) -> None:
    for thing in rendered(folder):
        for container in containers(thing):
            assert container["resources"]["limits"]["memory"], name_of(thing)
            assert container["resources"]["requests"]["memory"], name_of(thing)
            # A job ends, and that is its answer.
            assert thing["kind"] == "Job" or "readinessProbe" in container, name_of(thing)


# The production overlay beside the base


def patched(objects: list[Object]) -> list[Object]:
    """The base with the patches that production's kustomization names, and its images."""
    folder = OVERLAYS["production"]
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    found = {name_of(each): copy.deepcopy(each) for each in objects}
    for entry in listed["patches"]:
        assert set(entry) <= {"path", "target"}  # each has a file, and with it a name
        patch = yaml.safe_load((folder / entry["path"]).read_text(encoding="utf-8"))
        if isinstance(patch, dict):
            assert patch.pop("$patch") == "delete"
            del found[name_of(patch)]
            continue
        [name] = [n for n in found if (n[1], n[3]) == tuple(entry["target"].values())]
        for operation in patch:
            assert operation["op"] == "replace"
            *way, last = operation["path"].split("/")[1:]
            place: Any = found[name]
            for step in way:
                place = place[int(step) if isinstance(place, list) else step]
            place[int(last) if isinstance(place, list) else last] = operation["value"]
    for thing in found.values():
        for container in containers(thing):
            for image in listed["images"]:
                if container["image"].partition(":")[0] == image["name"]:
                    tag = f":{image['newTag']}" if "newTag" in image else f"@{image['digest']}"
                    container["image"] = image.get("newName", image["name"]) + tag
    filled = manifests.filled(yaml.safe_dump_all(found.values()), manifests.values(ENVIRONMENT))
    return list(yaml.safe_load_all(filled))


def test_production_is_the_base_with_named_patches_and_its_own_settings() -> None:
    base = [*rendered(DEPLOY / "base"), *rendered(DEPLOY / "knative")]
    wanted = {name_of(each): each for each in patched(base)}
    production = {name_of(each): each for each in rendered(OVERLAYS["production"])}
    added = {name[1:] for name in production.keys() - wanted.keys()}
    assert added == {
        ("ConfigMap", "mc-system", "platform"),
        ("ConfigMap", "knative-serving", "config-domain"),
        ("NetworkPolicy", "mc-system", "functions-database"),
        ("NetworkPolicy", "mc-system", "jobs-database"),
    }
    for name, thing in wanted.items():
        assert production[name] == thing


def test_production_sets_what_every_function_needs_there() -> None:
    [platform] = [
        each for each in rendered(OVERLAYS["production"]) if name_of(each)[3] == "platform"
    ]
    assert platform["data"]["MAXCLOUD_DOMAIN"] == "example.eu"
    assert "DEV_MODE" not in platform["data"]


def test_no_way_into_the_platform_is_without_tls() -> None:
    ingresses = [each for each in rendered(OVERLAYS["production"]) if each["kind"] == "Ingress"]
    hosts = {each["spec"]["rules"][0]["hosts"][0] for each in ingresses}
    assert hosts == {"api.example.eu", "registry.example.eu"}
    assert {each["spec"]["httpOption"] for each in ingresses} == {"Redirected"}


def test_a_laptop_asks_of_knative_what_production_does() -> None:
    """But for what a load balancer needs."""

    def settings_of(folder: Path) -> dict[str, Any]:
        return {n[3]: e["data"] for e in rendered(folder) if (n := name_of(e))[1] == "ConfigMap"}

    laptop, production = settings_of(LAPTOP), settings_of(HETZNER[1])
    del production["config-kourier"]["enable-proxy-protocol"]
    assert laptop == {name: production[name] for name in laptop}


# What is put in


@pytest.mark.parametrize("folder", [OVERLAYS["production"], *HETZNER])
def test_what_is_put_in_is_what_there_is(folder: Path) -> None:
    assert set(re.findall(r"\$\{([^}]*)\}", text_of(folder))) <= set(manifests.VARIABLES)


def test_every_chart_has_a_version_and_values_that_can_be_read() -> None:
    charts = [each for each in rendered(HETZNER[0]) if each["kind"] == "HelmChart"]
    charts += [each for each in addons.objects("a", "b", 1) if each["kind"] == "HelmChart"]
    assert len(charts) == 8
    for chart in charts:
        assert re.fullmatch(r"v?[0-9]+\.[0-9]+\.[0-9]+", chart["spec"]["version"])
        assert chart["spec"]["repo"].startswith("https://")
        assert isinstance(yaml.safe_load(chart["spec"]["valuesContent"]), dict)


def test_the_gateway_asks_for_the_load_balancer_that_is_paid_for() -> None:
    [service] = [each for each in rendered(HETZNER[1]) if each["kind"] == "Service"]
    annotations = service["metadata"]["annotations"]
    assert annotations["load-balancer.hetzner.cloud/type"] == settings.LOAD_BALANCER


def test_everything_that_is_put_in_is_waited_for() -> None:
    namespaces = {e["metadata"]["name"] for e in rendered(HETZNER[0]) if e["kind"] == "Namespace"}
    # NATS has no Deployment; the channel's controller, in Knative's, waits for it.
    assert namespaces - {"nats"} == set(components.CHARTS)


# Cross-file sums and versions


def test_the_database_has_a_connection_for_every_pool() -> None:
    instances = sum(
        int(
            each["spec"]["template"]["metadata"]["annotations"]["autoscaling.knative.dev/max-scale"]
        )
        for each in rendered(OVERLAYS["production"])
        if each["apiVersion"] == "serving.knative.dev/v1"
    )
    [cluster] = [each for each in rendered(HETZNER[3]) if each["kind"] == "Cluster"]
    connections = int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
    # The rest is for the jobs, the copies, whoever looks, and a rollout's second set of two.
    assert instances * database.CONNECTIONS_MAX + 50 <= connections


def test_the_released_knative_is_the_one_that_the_journeys_run_with() -> None:
    go_mod = (ROOT / "tests/cluster/go/knative/go.mod").read_text(encoding="utf-8")
    tested = {
        module: f"1.{int(minor) - 27}.{patch}"
        for module, minor, patch in re.findall(
            r"knative\.dev/(serving|eventing|net-kourier) v0\.(\d+)\.(\d+)", go_mod
        )
    }
    released: dict[str, set[str]] = {}
    for file in (DEPLOY / "knative" / "release").rglob("kustomization.yaml"):
        for url in yaml.safe_load(file.read_text(encoding="utf-8"))["resources"]:
            found = re.search(r"/([a-z-]+)/releases/download/knative-v([0-9.]+)/", url)
            assert found, url
            released.setdefault(found[1], set()).add(found[2])
    assert released == {module: {version} for module, version in tested.items()}


def test_every_overlay_runs_the_registry_that_the_journeys_run_with() -> None:
    tags = set()
    for folder in OVERLAYS.values():
        listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        tags |= {e["newTag"] for e in listed["images"] if e["name"].endswith("/registry")}
    go_mod = (ROOT / "tests/cluster/go/kubernetes/go.mod").read_text(encoding="utf-8")
    assert tags == set(re.findall(r"distribution/distribution/v3 v([0-9.]+)", go_mod))

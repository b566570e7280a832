"""From Knative's objects of the platform's own functions to what their rows say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from maxcloud import names, system
from maxcloud.belongings import belongings
from maxcloud.config import Config
from maxcloud.knative import functions, objects
from maxcloud.knative.status import Observed
from maxcloud.models import ServiceStatus
from maxcloud_cli.platform import plan
from tests.rights import NAMES

MADE = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = f"ghcr.io/you/functions@sha256:{'a' * 64}"
SEEN = Observed(0, (MADE, 7), ServiceStatus.READY, "", "", "services-00002")

MANIFESTS = {
    each["metadata"]["name"]: each
    for each in plan.marked(plan.shipped("example.eu", IMAGE, {}), makes_namespace=True)
    if each["apiVersion"] == "serving.knative.dev/v1"
}
MANIFEST = MANIFESTS["services"]


def ksvc(**status: Any) -> dict[str, Any]:
    return {**MANIFEST, "status": status}


def revision(generation: int = 2, ready: str = "True", **status: Any) -> dict[str, Any]:
    template = MANIFEST["spec"]["template"]
    return {
        "metadata": {
            "name": f"services-{generation:05d}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"serving.knative.dev/configurationGeneration": str(generation)},
            "annotations": template["metadata"]["annotations"],
        },
        "spec": template["spec"],
        "status": {"conditions": [{"type": "Ready", "status": ready}], **status},
    }


def test_a_row_says_what_the_manifest_does_and_nothing_of_its_variables() -> None:
    resolved = [{"name": "user-container", "imageDigest": IMAGE}]
    made = functions.function(ksvc(), [revision(containerStatuses=resolved)], SEEN)
    assert (made.name, made.status, made.version) == ("services", "ready", 7)
    assert made.traffic == ({"revision": "latest", "percent": 100},)
    [newest] = made.revisions
    assert (newest.generation, newest.digest) == (2, f"sha256:{'a' * 64}")
    assert newest.name == names.revision_name("services", 2)
    assert newest.is_ready
    assert newest.template == {
        "image": IMAGE,
        "port": 8080,
        "command": [],
        "args": [],
        "env_vars": {},
        "min_scale": 0,
        "max_scale": 20,
        "concurrency": 0,
        "cpu": "25m",
        "memory": "512Mi",
        "timeout_seconds": 60,
    }


def test_an_image_that_only_a_node_has_has_no_digest() -> None:
    [newest] = functions.function(ksvc(), [revision(ready="False")], SEEN).revisions
    assert (newest.digest, newest.is_ready) == ("", False)


def test_the_newest_revision_is_the_last_and_traffic_names_its_own() -> None:
    back = {"revisionName": "services-00001", "latestRevision": False, "percent": 100}
    rolled = ksvc(
        latestCreatedRevisionName="services-00010",
        latestReadyRevisionName="services-00010",
        traffic=[back],
    )
    rolled["spec"] = {**rolled["spec"], "traffic": [back, {"revisionName": "x", "tag": "t"}]}
    assert functions.revisions_of(rolled) == ["services-00001", "services-00010"]
    made = functions.function(rolled, [revision(10), revision(9)], SEEN)
    assert [each.generation for each in made.revisions] == [9, 10]
    assert made.traffic == (
        {"revision": "services-00001", "percent": 100},
        {"revision": "x", "percent": 0, "tag": "t"},
    )
    assert functions.revisions_of(ksvc()) == []


@pytest.mark.parametrize("function", NAMES)
def test_a_function_carries_the_labels_of_a_service(function: str) -> None:
    live = MANIFESTS[function]
    labels = live["metadata"]["labels"]
    assert labels[objects.MANAGED] == "true"
    assert labels[objects.ORG] == str(system.ORG_ID)
    assert labels[objects.SERVICE_ID] == str(system.service_id(function))
    assert live["metadata"]["namespace"] == Config().namespace_of(system.ORG_ID)
    assert objects.is_function(live)
    # No label on the template: an installation before this one runs the same revision.
    assert "labels" not in live["spec"]["template"]["metadata"]


def test_what_only_looks_like_a_function_is_none() -> None:
    for change in (
        {"namespace": "default"},
        {"name": "shop"},
        {"name": "auth"},
        {"labels": {objects.SERVICE_ID: "nonsense"}},
    ):
        assert not objects.is_function({"metadata": {**MANIFEST["metadata"], **change}})


def test_the_platforms_own_namespace_is_bounded_by_nothing_of_an_organisation() -> None:
    config = Config(registry_secrets=("s" * 32,))
    assert belongings(config, system.ORG_ID) == []


def test_nothing_but_a_function_is_labelled_as_a_service() -> None:
    strange = {**MANIFEST, "metadata": {"name": "shop", "namespace": "mc-system"}}
    [marked] = plan.marked([strange], makes_namespace=True)
    assert marked["metadata"]["labels"] == {plan.LABEL: plan.OURS}

"""How a platform looks to an operator: objects in, plain data out."""

from __future__ import annotations

from typing import Any

import pytest

from maxcloud_cli.platform import parts
from tests.unit.installed import INSTANCE, condition, ksvc, pod, revision


def test_a_function_is_what_serves_and_how_many_run() -> None:
    [found] = parts.functions([ksvc()], [pod("a", **INSTANCE), pod("b", phase="Pending")])
    assert found == {
        "name": "services",
        "revision": "services-00002",
        "newest": "services-00002",
        "ready": True,
        "why_not": "",
        "instances": 1,
        "image": "maxcloud:1",
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (condition("True"), (True, "")),
        (condition("False", "it crashed"), (False, "it crashed")),
        (condition("Unknown"), (False, "not yet")),
        ({}, (False, "nobody has looked at it yet")),
    ],
)
def test_readiness(status: dict[str, Any], expected: tuple[bool, str]) -> None:
    assert parts.ready({"status": status}) == expected


@pytest.mark.parametrize(
    ("serves", "revisions", "expected"),
    [
        (
            "services-00003",
            ["services-00001", "services-00002", "services-00003"],
            "services-00002",
        ),
        (
            "services-00002",
            ["services-00002", "services-00001", "services-00003"],
            "services-00001",
        ),
        ("services-00010", ["services-00009", "services-00010"], "services-00009"),
        ("services-00001", ["services-00001"], None),
        ("gone", ["services-00001"], "services-00001"),
    ],
)
def test_the_revision_before(serves: str, revisions: list[str], expected: str | None) -> None:
    found = parts.one_before(ksvc(serves), [revision(each) for each in revisions])
    assert found == expected


def test_a_revision_that_never_was_ready_takes_nothing_over() -> None:
    before = [revision("services-00001"), revision("services-00002", "False")]
    now = [*before, revision("services-00003")]
    assert parts.one_before(ksvc("services-00003"), now) == "services-00001"


def test_what_has_no_row_is_an_orphan() -> None:
    ours = ksvc()
    ours["metadata"]["labels"] = {"maxcloud.dev/service-id": "1"}
    assert parts.orphans([ours], ["1"]) == []
    assert parts.orphans([ours], ["2"]) == ["mc-system/services"]


METRICS = """
# TYPE pod_memory_working_set_bytes gauge
pod_memory_working_set_bytes{namespace="mc-system",pod="postgres-0"} 4.194304e+07 17956
pod_memory_working_set_bytes{namespace="knative-serving",pod="activator-1"} 1048576 17956
"""


def test_what_runs_at_rest_is_no_instance_and_no_job() -> None:
    pods = [
        pod("postgres-0"),
        pod("migrate-1", phase="Succeeded"),
        pod("services-1", **INSTANCE),
        pod("activator-1", "knative-serving"),
        pod("stranger-1"),
        pod("storages-1"),
    ]
    found = parts.at_rest(pods, parts.memory_of_pods(METRICS))
    assert [(each["name"], each["memory_mib"], bool(each["why"])) for each in found] == [
        ("activator", 1, True),
        ("postgres", 40, True),
        ("storages-1", None, False),
        ("stranger-1", None, False),
    ]


@pytest.mark.parametrize(
    ("labels", "image", "version"),
    [
        ({"app.kubernetes.io/version": "1.23.0"}, "x", "1.23.0"),
        ({"app.kubernetes.io/version": "devel"}, "dev.local:5000/controller:v0.50.0", "v0.50.0"),
        ({}, f"gcr.io/controller@sha256:{'a' * 64}", "unknown"),
    ],
)
def test_a_version_is_the_label_or_the_images_tag(
    labels: dict[str, str], image: str, version: str
) -> None:
    spec = {"template": {"spec": {"containers": [{"image": image}]}}}
    assert parts.version_of({"metadata": {"labels": labels}, "spec": spec}) == version


def test_what_every_installation_has_is_missed() -> None:
    wanted = [
        {"apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "Ingress"},
        {"apiVersion": "v1", "kind": "Service"},
        {"apiVersion": "apps/v1", "kind": "StatefulSet"},
    ]
    for each in wanted:
        each["metadata"] = {"name": "api"}  # type: ignore[assignment]
    [gone] = parts.missing(wanted, [ksvc()])
    assert (gone["kind"], gone["name"], gone["ready"]) == ("Ingress", "api", False)
    assert "maxcloud platform install" in gone["why_not"]
    assert parts.missing(wanted, wanted) == []


def test_a_deployment_is_well_when_it_is_available() -> None:
    deployment = {"kind": "Deployment", "metadata": {"name": "distribution"}}
    [shown] = parts.workloads([deployment])
    assert not shown["ready"]
    available = {"conditions": [{"type": "Available", "status": "True"}]}
    [shown] = parts.workloads([{**deployment, "status": available}])
    assert shown["ready"]


def container(**status: Any) -> list[dict[str, Any]]:
    return [{"status": {"containerStatuses": [{"name": "user-container", **status}]}}]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"ready": True, "state": {"running": {}}}, ""),
        ({"state": {"waiting": {"reason": "ContainerCreating"}}}, ""),
        (
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
            "user-container: no such image",
        ),
        (
            {
                "restartCount": 2,
                "state": {"running": {}},
                "lastState": {"terminated": {"exitCode": 3}},
            },
            "user-container ended with exit code 3 again and again",
        ),
        (
            {"restartCount": 2, "state": {"terminated": {"exitCode": 3}}, "lastState": {}},
            "user-container ended with exit code 3 again and again",
        ),
        ({"restartCount": 1, "lastState": {"terminated": {"exitCode": 3}}}, ""),
    ],
)
def test_why_a_revision_does_not_start(status: dict[str, Any], said: str) -> None:
    assert parts.trouble(container(**status)) == said

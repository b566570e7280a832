"""How a platform looks to an operator: objects in, plain data and a page out."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maxcloud_cli.platform import jobs, pages, parts
from maxcloud_cli.platform.errors import JobFailed

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def condition(status: str, message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": status, "message": message}]}


def ksvc(serves: str = "services-00002", newest: str = "services-00002") -> dict[str, Any]:
    traffic = [{"revisionName": serves, "percent": 100}, {"revisionName": "x", "tag": "t"}]
    env = [{"name": "DATABASE_URL", "value": "d"}, {"name": "FUNCTION_TARGET", "value": "x"}]
    container = {"image": "maxcloud:1", "env": env, "envFrom": [{"configMapRef": {"name": "p"}}]}
    return {
        "kind": "Service",
        "metadata": {"name": "services", "namespace": "mc-system"},
        "spec": {"template": {"spec": {"containers": [container]}}},
        "status": condition("True") | {"traffic": traffic, "latestCreatedRevisionName": newest},
    }


def revision(name: str, ready: str = "True") -> dict[str, Any]:
    number = str(int(name.rpartition("-")[2]))
    labels = {"serving.knative.dev/configurationGeneration": number}
    return {"metadata": {"name": name, "labels": labels}, "status": condition(ready)}


def pod(name: str, namespace: str = "mc-system", phase: str = "Running", **labels: str) -> Any:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"metadata": metadata, "status": {"phase": phase}}


INSTANCE = {"serving.knative.dev/service": "services", "serving.knative.dev/revision": "r"}


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


def test_what_is_to_go_and_cannot_says_what_holds_it() -> None:
    ours = ksvc()
    ours["metadata"] |= {"namespace": "mc-org-1", "finalizers": ["example.eu/hold"]}
    assert parts.held([ours]) == []
    ours["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    said = "Some content in the namespace has finalizers remaining: example.eu/hold in 1 resource"
    remains = {"type": "NamespaceFinalizersRemaining", "status": "True", "message": said}
    gone = {"type": "NamespaceContentRemaining", "status": "False", "message": "All is gone"}
    namespace = {
        "kind": "Namespace",
        "metadata": {"name": "mc-org-1", "deletionTimestamp": "2026-01-01T12:00:00Z"},
        "status": {"phase": "Terminating", "conditions": [gone, remains]},
    }
    found = parts.held([ours, namespace])
    assert found == [
        {"kind": "Service", "name": "mc-org-1/services", "by": "its finalizers example.eu/hold"},
        {"kind": "Namespace", "name": "mc-org-1", "by": said},
    ]
    page = pages.status(state(held=found), NOW)
    assert "objects that cannot go: 2" in page
    assert f"  Namespace mc-org-1: {said}" in page


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


def test_a_job_is_the_functions_image_with_its_database_and_no_rights() -> None:
    made = jobs.job(ksvc(), ("drop", "1"))
    pod_spec = made["spec"]["template"]["spec"]
    [container] = pod_spec["containers"]
    assert container["image"] == "maxcloud:1"
    assert container["command"][1:] == ["-m", "maxcloud.upkeep", "drop", "1"]
    assert [each["name"] for each in container["env"]] == ["DATABASE_URL"]
    assert pod_spec["serviceAccountName"] == "migrate"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def state(**changes: Any) -> dict[str, Any]:
    rows = {"last_sweep": "2026-01-01T11:57:00+00:00", "waiting": [], "dead_letters": []}
    return {
        "versions": {"maxcloud": "1", "Kubernetes": "2"},
        "functions": parts.functions([ksvc()], []),
        "parts": [{"kind": "Broker", "name": "maxcloud", "ready": False, "why_not": "no channel"}],
        "rows": {**rows, "dead_letter_count": 0},
        "rows_trouble": "",
        "orphans": [],
        "held": [],
        "at_rest": [],
        **changes,
    }


def test_the_page_says_what_is_not_well() -> None:
    page = pages.status(state(), NOW)
    assert "maxcloud 1, Kubernetes 2" in page
    assert "Broker  maxcloud  no channel" in page
    assert "last sweep: 3 min ago" in page
    assert "dead letters: none" in page
    rolled_back = parts.functions([ksvc(newest="services-00003")], [])
    assert "rolled back from services-00003" in pages.status(state(functions=rolled_back), NOW)


def test_the_page_says_when_sweeps_are_late_and_the_database_is_silent() -> None:
    rows = state()["rows"] | {"last_sweep": "2026-01-01T11:00:00+00:00", "dead_letter_count": 2}
    page = pages.status(state(rows=rows, orphans=["mc-org-1/shop"]), NOW)
    assert "60 min ago, which is late" in page
    assert "dead letters: 2 (maxcloud platform dead-letters)" in page
    assert "mc-org-1/shop" in page
    waiting = {"name": "shop", "status": "pending", "reason": "Accepted", "attempts": 2}
    rows |= {"waiting": [waiting | {"message": "the namespace is being deleted; trying again"}]}
    page = pages.status(state(rows=rows), NOW)
    assert "shop  pending Accepted, tried 2 times: the namespace is being deleted" in page
    silent = pages.status(state(rows=None, rows_trouble=str(JobFailed("no answer"))), NOW)
    assert "The database was not asked: no answer" in silent


WITHOUT_KUBERNETES = """
import sys
sys.modules["kubernetes"] = None
sys.argv = ["maxcloud", "platform", "status"]
from maxcloud_cli.main import main
sys.exit(main())
"""


def test_without_its_packages_it_says_what_to_install() -> None:
    command = [sys.executable, "-c", WITHOUT_KUBERNETES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: the commands for operators are not installed: the package kubernetes is missing",
        "Hint: pip install 'maxcloud[platform]'",
    ]


@pytest.mark.parametrize("content", ["", "nonsense: [", "apiVersion: v1\nkind: Config\n"])
def test_a_kubeconfig_that_leads_nowhere_is_one_sentence(tmp_path: Path, content: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(content, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("maxcloud")), "platform", "status"]
    env = {"KUBECONFIG": str(file), "HOME": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said, hint = done.stderr.splitlines()
    assert said.startswith("Error: the kubeconfig cannot be used")
    assert hint == "Hint: check KUBECONFIG and --context"


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

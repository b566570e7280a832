"""What an operator reads of a platform, and the job that asks its database."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maxcloud_cli.platform import jobs, pages, parts
from maxcloud_cli.platform.errors import JobFailed
from tests.unit.installed import ksvc

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


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

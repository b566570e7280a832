"""The platform's own functions, as whoever has its Secret sees them through the public API."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from maxcloud import system
from tests.cluster.environment import KUBECONFIG, kubectl
from tests.journeys.platform import Done, eventually
from tests.keyed.platform import Keyed, Person
from tests.rights import NAMES

REFUSAL = "the platform's own services are only read here"


@pytest.fixture(autouse=True)
def _on_the_cluster(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--platform") != "cluster":
        pytest.skip("needs an installation: make test-cluster")


@dataclass(frozen=True)
class Operator(Person):
    """Somebody whose only way in is a kubeconfig."""

    key: str

    def __call__(
        self, *arguments: str, code: int | None = 0, env: dict[str, str] | None = None
    ) -> Done:
        own = {"MAXCLOUD_API_KEY": self.key, "KUBECONFIG": str(KUBECONFIG)}
        return super().__call__(*arguments, code=code, env=own | (env or {}))


@pytest.fixture
def operator(keyed: Keyed, tmp_path: Path) -> Operator:
    found = kubectl(
        *("get", "secret", "system-key", "-n", "mc-system"), "-o", "jsonpath={.data.api-key}"
    )
    return Operator(keyed, tmp_path / "operator", base64.b64decode(found).decode())


def functions() -> dict[str, Any]:
    """The functions' objects as the cluster has them, without what it counts by itself."""
    found = json.loads(kubectl("get", "ksvc", "-n", "mc-system", "-o", "json"))["items"]
    return {each["metadata"]["name"]: each["spec"] for each in found}


def test_an_operator_sees_the_platform_as_a_tenant_sees_a_service(operator: Operator) -> None:
    def listed() -> dict[str, str]:
        return {each["name"]: each["status"] for each in operator("list", "-o", "json").json}

    eventually("rows", listed, 60, lambda seen: seen == dict.fromkeys(NAMES, "ready"))
    live = json.loads(kubectl("get", "ksvc", "services", "-n", "mc-system", "-o", "json"))
    shown = operator("describe", "services", "-o", "json").json
    assert shown["latest_revision"] == live["status"]["latestCreatedRevisionName"]
    assert shown["id"] == live["metadata"]["labels"]["maxcloud.dev/service-id"]
    [container] = live["spec"]["template"]["spec"]["containers"]
    [newest, *_] = operator("revisions", "services", "-o", "json").json
    assert (newest["image"], newest["traffic"]) == (container["image"], 100)
    said = operator("logs", "services", "--tail", "5").out
    assert '"function": "services"' in said


def test_an_operators_key_changes_nothing(operator: Operator, keyed: Keyed) -> None:
    image, before = keyed.platform.backend.sample, functions()
    for words in (
        ("deploy", image, "--name", "services"),
        ("deploy", "--name", "services", "--max", "1"),
        ("deploy", image, "--name", "mine"),
        ("traffic", "services", "latest=100"),
        ("rollback", "services", "--to", "services-00001"),
        ("delete", "services", "--yes"),
        ("invite", "create", "--email", "eve@example.test"),
        ("auth", "api-keys", "create", "--name", "more"),
    ):
        refused = operator(*words, code=None)
        assert refused.code == 1, (words, refused)
        assert REFUSAL in refused.err, (words, refused)
    assert functions() == before


def test_a_rollback_is_seen_and_the_next_installation_makes_no_difference(
    operator: Operator,
) -> None:
    before = operator("describe", "invites", "-o", "json").json
    variable = {"name": "AGAIN", "value": before["latest_revision"]}
    path = "/spec/template/spec/containers/0/env/-"
    change = json.dumps([{"op": "add", "path": path, "value": variable}])
    kubectl("patch", "ksvc", "invites", "-n", "mc-system", "--type=json", "-p", change)

    def settled() -> tuple[int, str]:
        now = operator("describe", "invites", "-o", "json").json
        return now["generation"], now["status"]

    wanted = (before["generation"] + 1, "ready")
    eventually("another generation", settled, 60, lambda seen: seen == wanted)
    operator("platform", "rollback", "invites")

    def served() -> list[str]:
        found = operator("describe", "invites", "-o", "json").json["traffic"]
        return [each["revision"] for each in found]

    eventually("traffic", served, 60, lambda seen: seen == [before["latest_revision"]])
    # As an installation leaves it: the same template is a generation of its own.
    number = len(functions()["invites"]["template"]["spec"]["containers"][0]["env"]) - 1
    undo = [
        {"op": "remove", "path": f"/spec/template/spec/containers/0/env/{number}"},
        {
            "op": "replace",
            "path": "/spec/traffic",
            "value": [{"latestRevision": True, "percent": 100}],
        },
    ]
    kubectl("patch", "ksvc", "invites", "-n", "mc-system", "--type=json", "-p", json.dumps(undo))
    eventually("the usual one", served, 60, lambda seen: seen == ["latest"])
    wanted = (before["generation"] + 2, "ready")
    eventually("it to be ready", settled, 60, lambda seen: seen == wanted)


def test_rows_cluster_and_platform_status_agree(operator: Operator) -> None:
    found = operator("platform", "status", "-o", "json").json
    assert not [each for each in found["orphans"] if each.startswith(f"{system.NAMESPACE}/")]
    assert not [each for each in found["rows"]["waiting"] if each["org_id"] == str(system.ORG_ID)]

"""`maxcloud platform`: what an operator sees and does with a kubeconfig alone."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.cluster.environment import KUBECONFIG, kubectl
from tests.journeys.platform import MAXCLOUD, Platform, eventually
from tests.knative.conftest import Broker

READY = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"


def operate(
    *words: str, code: int | None = 0, err: bool = False, env: Mapping[str, str] | None = None
) -> str:
    done = subprocess.run(
        [str(MAXCLOUD), "platform", *words],
        env={**os.environ, "KUBECONFIG": str(KUBECONFIG), **(env or {})},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done.stderr if err else done.stdout


def status(code: int | None = 0) -> Any:
    return json.loads(operate("status", "-o", "json", code=code))


def test_status_shows_all_of_a_platform_that_is_well() -> None:
    found = status()
    functions = {each["name"]: each for each in found["functions"]}
    assert {"health", "services", "auth", "invites", "mailer", "reconcile", "status"} <= set(
        functions
    )
    for name, each in functions.items():
        assert each["revision"].startswith(name)
    kinds = {each["kind"] for each in found["parts"]}
    assert kinds == {"Broker", "Trigger", "ApiServerSource", "PingSource", "Ingress", "Deployment"}
    assert found["rows"]["dead_letter_count"] >= 0
    assert "not installed" not in found["versions"].values()
    resting = {each["name"] for each in found["at_rest"]}
    assert {"postgres", "activator", "3scale-kourier-gateway", "mt-broker-ingress"} <= resting


def test_at_rest_no_function_runs_and_all_that_does_has_its_reason() -> None:
    def running() -> list[str]:
        return [each["name"] for each in status()["functions"] if each["instances"]]

    # The window, and the time in which Knative takes an instance down; a sweep may come between.
    eventually("functions run", running, 300, lambda names: not names)
    page = operate("status")
    print(page)
    found = status()["at_rest"]
    assert [each["name"] for each in found if not each["why"]] == []
    assert all(each["memory_mib"] for each in found)


def test_a_dead_letter_is_listed_and_dropped(broker: Broker) -> None:
    published = broker.publish("dev.maxcloud.deploy-requested", {"nonsense": uuid.uuid4().hex})

    def kept() -> list[str]:
        found = json.loads(operate("dead-letters", "-o", "json"))
        return [each["id"] for each in found if each["type"] == "dev.maxcloud.deploy-requested"]

    letters = eventually(f"dead letter of {published}", kept, 60, bool)
    operate("dead-letters", *(word for each in letters for word in ("--drop", each)))
    assert not set(kept()) & set(letters)


@pytest.fixture
def broken(request: pytest.FixtureRequest) -> Iterator[str]:
    """A function whose newest revision is ready, and of no use: it finds no database."""
    function: str = request.param
    before = json.loads(kubectl("get", "ksvc", function, "-n", "mc-system", "-o", "json"))
    env = before["spec"]["template"]["spec"]["containers"][0]["env"]
    [place] = [number for number, each in enumerate(env) if each["name"] == "DATABASE_URL"]
    change(function, place, {"name": "DATABASE_URL", "value": "postgresql://no@127.0.0.1:1/none"})
    try:
        yield function
    finally:
        change(function, place, env[place])
        traffic = {"spec": {"traffic": [{"latestRevision": True, "percent": 100}]}}
        patch = ("--type=merge", "-p", json.dumps(traffic))
        kubectl("patch", "ksvc", function, "-n", "mc-system", *patch)
        settled(function)


def change(function: str, place: int, variable: dict[str, Any]) -> None:
    path = f"/spec/template/spec/containers/0/env/{place}"
    patch = json.dumps([{"op": "replace", "path": path, "value": variable}])
    kubectl("patch", "ksvc", function, "-n", "mc-system", "--type=json", "-p", patch)
    settled(function)


def settled(function: str) -> None:
    def seen() -> bool:
        found = json.loads(kubectl("get", "ksvc", function, "-n", "mc-system", "-o", "json"))
        told = found["status"]["observedGeneration"] == found["metadata"]["generation"]
        ready = [
            each["status"] for each in found["status"]["conditions"] if each["type"] == "Ready"
        ]
        return bool(told and ready == ["True"])

    eventually(f"{function} is ready", seen, 120, bool)


ASKED = {"services": "/api/v1/services", "auth": "/api/v1/auth/api-keys"}


@pytest.mark.parametrize("broken", ASKED, indirect=True)
def test_a_broken_api_is_taken_back_without_the_api(platform: Platform, broken: str) -> None:
    def answer() -> int:
        return int(platform.api("GET", ASKED[broken]).status_code)

    assert eventually("the broken one answers", answer, 60, lambda code: code == 503) == 503
    revision = operate("rollback", broken).strip()
    assert eventually("the old one answers", answer, 60, lambda code: code == 200) == 200
    [shown] = [each for each in status()["functions"] if each["name"] == broken]
    assert shown["revision"] == revision
    assert shown["newest"] > revision
    assert f"rolled back from {shown['newest']}" in operate("status")


@pytest.mark.parametrize("broken", ["reconcile"], indirect=True)
def test_a_broken_reconcile_is_taken_back(
    platform: Platform, broken: str, name: str, web: tuple[str, str]
) -> None:
    platform.maxcloud("deploy", web[0], "--name", name, "--no-wait")
    assert platform.api("GET", f"/api/v1/services/{name}").json()["status"] == "pending"
    operate("rollback", broken)
    platform.maxcloud("deploy", web[0], "--name", name, "--env", "AGAIN=1")


def test_what_cannot_be_taken_back_is_said() -> None:
    operate("rollback", "nonsense", code=1)
    operate("rollback", "services", "--to", "services-99999", code=1)

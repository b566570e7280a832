"""What the engine keeps to itself, and what a tenant cannot make it run."""

import httpx
import psutil
import pytest
import yaml

from tests.journeys.platform import Platform
from tests.local.backend import SERVING, Engine


def test_nothing_listens_beyond_loopback(local_engine: Engine, platform: Platform) -> None:
    assert platform.api("GET", "/api/v1/services").status_code == 200
    assert local_engine.process is not None
    engine = psutil.Process(local_engine.process.pid)
    listening = [
        connection.laddr.ip
        for process in [engine, *engine.children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4  # the gateway, the broker, Kubernetes' API, a function
    assert set(listening) <= {"127.0.0.1", "::1"}
    database = psutil.Process(
        int((local_engine.data / "postgres/postmaster.pid").read_text().split()[0])
    )
    assert [c for c in database.net_connections("inet") if c.status == psutil.CONN_LISTEN] == []


def test_the_kubernetes_api_wants_its_token(local_engine: Engine) -> None:
    kubeconfig = local_engine.data / "kubeconfig"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    [cluster] = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["clusters"]
    for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": "Basic eDp4"}):
        answer = httpx.get(
            f"{cluster['cluster']['server']}{SERVING}/services",
            headers=headers,
            verify=False,  # noqa: S501
        )
        assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")


@pytest.mark.parametrize("image", ["maxcloud.local/other", "maxcloud.local/hello/x"])
def test_only_the_sample_is_a_process(platform: Platform, name: str, image: str) -> None:
    failed = platform.maxcloud("deploy", image, "--name", name, code=1)
    assert "ImageNotFound" in failed.err
    assert "maxcloud.local/hello" in failed.err


def test_the_sample_runs_no_command_of_a_tenant(platform: Platform, name: str) -> None:
    command = ("--command", "/bin/sh", "--args", "-c,touch /tmp/owned")
    failed = platform.maxcloud("deploy", "maxcloud.local/hello", "--name", name, *command, code=1)
    assert "command" in failed.err


def test_a_tenants_variables_stay_data(platform: Platform, name: str) -> None:
    env = ("--env", "PYTHONPATH=/nowhere", "--env", "LD_PRELOAD=/nowhere.so", "--env", "TARGET=you")
    url = platform.maxcloud("deploy", "maxcloud.local/hello", "--name", name, *env).out.strip()
    assert "Hello you" in platform.get(url).text
    logs = platform.backend.left_behind(name)
    assert logs

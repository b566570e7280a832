"""`maxcloud platform install` and `uninstall`: what they refuse, take away and leave."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maxcloud import keys, system
from maxcloud_cli.platform import plan
from maxcloud_local import kinds
from maxcloud_local.kinds import Kind
from tests.cli.conftest import Maxcloud
from tests.local.apiserver import ApiServer, an_object, api_in_the_background

SYSTEM = "mc-system"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    with api_in_the_background(tmp_path) as running:
        running.store.create(kinds.NAMESPACE, an_object(kinds.NAMESPACE, SYSTEM))
        yield running


def make(api: ApiServer, kind: Kind, name: str, namespace: str = SYSTEM, **labels: str) -> None:
    api.store.create(kind, an_object(kind, name, namespace, metadata={"labels": labels}))


def there(api: ApiServer, kind: Kind) -> set[str]:
    return {each["metadata"]["name"] for each in api.store.all(kind)}


OURS = {plan.LABEL: plan.OURS}
TENANTS = {"maxcloud.dev/managed": "true"}


@pytest.fixture
def installed(api: ApiServer) -> ApiServer:
    """Some of what an installation makes, beside what others have."""
    for kind in (kinds.BROKER, kinds.EVENT_TYPE, kinds.INGRESS, kinds.CONFIG_MAP, kinds.SECRET):
        make(api, kind, "ours", **OURS)
        make(api, kind, "theirs")
    make(api, kinds.CLUSTER_ROLE, "ours", **OURS)
    make(api, kinds.NAMESPACE, "mc-org-1", **TENANTS)
    return api


def test_an_uninstallation_takes_what_was_made_and_leaves_data_and_others(
    installed: ApiServer,
) -> None:
    maxcloud = Maxcloud(installed.environment)
    told = json.loads(maxcloud("platform", "uninstall", "--dry-run", "-o", "json").out)
    assert {(each["what"], each["kind"], each["name"]) for each in told} == {
        ("delete", "Broker", "mc-system/ours"),
        ("delete", "EventType", "mc-system/ours"),
        ("delete", "Ingress", "mc-system/ours"),
        ("delete", "ConfigMap", "mc-system/ours"),
        ("delete", "ClusterRole", "ours"),
    }
    done = maxcloud("platform", "uninstall", "--yes")
    assert done.code == 0, done.err
    for kind in (kinds.BROKER, kinds.EVENT_TYPE, kinds.INGRESS, kinds.CONFIG_MAP):
        assert (kind.name, there(installed, kind)) == (kind.name, {"theirs"})
    assert there(installed, kinds.CLUSTER_ROLE) == set()
    assert there(installed, kinds.SECRET) == {"ours", "theirs"}
    assert {SYSTEM, "mc-org-1"} <= there(installed, kinds.NAMESPACE)


def test_with_tenants_their_namespaces_and_the_secrets_go_too(installed: ApiServer) -> None:
    # A function is a service of the platform's own organisation, and goes once.
    make(installed, kinds.SERVICE, "services", **OURS, **system.labels("services"))
    words = ("platform", "uninstall", "--tenants", "--dry-run", "-o", "json")
    told = json.loads(Maxcloud(installed.environment)(*words).out)
    assert [each["name"] for each in told if each["kind"] == "Service"] == ["mc-system/services"]
    done = Maxcloud(installed.environment)("platform", "uninstall", "--tenants", "--yes")
    assert done.code == 0, done.err
    assert there(installed, kinds.SECRET) == {"theirs"}
    assert "mc-org-1" not in there(installed, kinds.NAMESPACE)
    assert there(installed, kinds.SERVICE) == set()
    assert SYSTEM in there(installed, kinds.NAMESPACE)


ADOPT = """
from maxcloud_cli.platform import adopting, cluster
print(adopting.adopt(cluster.Cluster(), []))
"""


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (keys.make(), "its own services are left as they are: there is no function reconcile"),
        ("mistyped", "what Secret system-key holds is no API key: delete it and install again"),
        ("", "there is no api-key in Secret system-key of mc-system"),
    ],
)
def test_what_keeps_functions_from_being_services_is_said(
    api: ApiServer, key: str, said: str
) -> None:
    for name, field, value in (("system-key", "api-key", key), ("platform", "secret-key", "s")):
        data = {field: base64.b64encode(value.encode()).decode()}
        api.store.create(kinds.SECRET, an_object(kinds.SECRET, name, SYSTEM, data=data))
    command = [sys.executable, "-c", ADOPT]
    done = subprocess.run(command, env=api.environment, capture_output=True, text=True, check=False)
    assert said in done.stdout + done.stderr
    assert key not in done.stdout + done.stderr or not key


def test_without_a_terminal_it_wants_a_yes(installed: ApiServer) -> None:
    refused = Maxcloud(installed.environment)("platform", "uninstall")
    assert refused.code == 2
    assert "without a terminal" in refused.err
    assert there(installed, kinds.BROKER) == {"ours", "theirs"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("a: [", "cannot be read"),
        ("just words", "holds something that is no Kubernetes object"),
        ("kind: Service", "holds something that is no Kubernetes object"),
    ],
)
def test_manifests_that_are_none_are_refused(
    api: ApiServer, tmp_path: Path, content: str | None, said: str
) -> None:
    file = tmp_path / "manifests.yaml"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    words = ("platform", "install", "--manifests", str(file))
    refused = Maxcloud(api.environment)(*words)
    assert refused.code == 2
    assert said in refused.err
    assert "kubectl kustomize" in refused.err


def test_what_is_not_said_is_asked_for(api: ApiServer) -> None:
    refused = Maxcloud(api.environment)("platform", "install")
    assert refused.code == 1
    assert "2 things stand in the way" in refused.err
    assert "--domain" in refused.err
    assert "--image" in refused.err

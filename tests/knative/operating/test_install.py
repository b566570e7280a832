"""`maxcloud platform install` and `uninstall` on a cluster that has Knative and nothing of ours."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from maxcloud_cli.platform import plan
from tests.cluster.backend import Cluster
from tests.cluster.environment import GATEWAY, HOST_ADDRESS, MAIL_PORT, kubectl
from tests.cluster.install import environment, manifests
from tests.journeys.platform import Platform, eventually
from tests.keyed.platform import Keyed, Person, registered
from tests.knative.operating.support import HOLD, hold, installed_image, seconds
from tests.knative.test_operators import operate, status
from tests.postal import smtp

# It takes the platform away under all others, and brings it back.
pytestmark = pytest.mark.last

# What comes and goes by itself, or only follows something that is compared.
FLEETING = {"events", "leases", "pods", "endpoints", "endpointslices", "replicasets"}
FLEETING |= {"controllerrevisions", "podmetrics", "nodemetrics", "componentstatuses"}

# What an API server, or a controller that counts, writes by itself.
UNTOLD = ("managedFields", "resourceVersion", "generation", "annotations")

WITH_KEYS = {"DEV_MODE": "false", "REGISTRATION": "verify", "LOG_LEVEL": "info"}


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[Path]:
    """The overlay of this cluster, asking for keys; whatever happens, the usual one returns."""
    usual = manifests(installed_image())
    objects = list(yaml.safe_load_all(usual))
    [settings] = [each for each in objects if each["metadata"]["name"] == plan.SETTINGS]
    settings["data"] |= WITH_KEYS
    file = tmp_path / "overlay.yaml"
    file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    yield file
    (tmp_path / "usual.yaml").write_text(usual, encoding="utf-8")
    operate("install", "--manifests", str(tmp_path / "usual.yaml"), env=environment())


def everything() -> dict[str, Any]:
    """All objects of the cluster by their place, as they are wanted to be."""
    kinds = kubectl("api-resources", "--verbs=list", "-o", "name").split()
    wanted = [kind for kind in kinds if kind.partition(".")[0] not in FLEETING]
    listed = json.loads(kubectl("get", ",".join(wanted), "-A", "-o", "json"))["items"]
    return {place(each): told(each) for each in listed}


def everything_at_rest() -> dict[str, Any]:
    """All objects, once nothing follows any more what was deleted."""
    looks = [everything()]

    def is_still() -> bool:
        looks.append(everything())
        return looks[-1] == looks[-2]

    eventually("the cluster is still", is_still, 90, bool)
    return looks[-1]


def told(thing: dict[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in thing["metadata"].items() if k not in UNTOLD}
    return {**thing, "metadata": metadata, "status": None}


def place(thing: dict[str, Any]) -> str:
    metadata = thing["metadata"]
    group = thing["apiVersion"].rpartition("/")[0]
    return f"{group} {thing['kind']} {metadata.get('namespace', '')}/{metadata['name']}"


def made_by(overlay: Path) -> set[str]:
    """The places of what an installation makes."""
    objects = yaml.safe_load_all(overlay.read_text(encoding="utf-8"))
    return {place(each) for each in objects if plan.is_made(each, makes_namespace=False)}


def written() -> dict[str, str]:
    """The generation, or the content, of each object that an installation makes."""
    places = {place(each) for each in json.loads(of_an_installation())["items"]}
    assert len(places) > 50
    return {
        place(each): str(each["metadata"].get("generation")) + str(each.get("data"))
        for each in json.loads(of_an_installation())["items"]
    }


def of_an_installation() -> str:
    kinds = "ksvc,ingresses.networking.internal.knative.dev,triggers,brokers,jobs,statefulsets"
    kinds += ",deployments,configmaps,secrets,networkpolicies,serviceaccounts,rolebindings"
    kinds += ",clusterroles,validatingadmissionpolicies,pingsources,apiserversources,services"
    return kubectl("get", kinds, "-A", "-l", f"{plan.LABEL}={plan.OURS}", "-o", "json")


def test_what_is_installed_is_there_once_and_gone_without_a_trace(
    overlay: Path, tmp_path: Path
) -> None:
    operate("uninstall", "--tenants", "--yes")
    before = everything_at_rest()
    assert sorted(made_by(overlay) & before.keys()) == []
    install = ("install", "--manifests", str(overlay))
    platform = Platform(Cluster())
    name = f"k-{uuid.uuid4().hex[:8]}"

    with smtp(host=HOST_ADDRESS, port=MAIL_PORT) as (mailbox, address):
        told = environment() | {"SMTP_URL": f"smtp://{address}"}
        assert operate(*install, env=told).strip() == GATEWAY
        assert httpx.get(f"{GATEWAY}/readyz", timeout=30).status_code == 200
        first = written()
        assert operate(*install, "--dry-run").strip() == "nothing to do"
        operate(*install)
        assert written() == first

        ada = registered(Keyed(platform, mailbox), tmp_path, "ada")
    namespace = f"mc-org-{ada('auth', 'status', '-o', 'json').json['organization']['id']}"
    # Kubernetes looks at a namespace again after half of the time that an instance may take to end.
    deploy = ("deploy", platform.backend.sample, "--name", name, "--min", "1", "--timeout", "10")
    url = ada(*deploy).out.strip()

    operate("uninstall", "--yes")
    assert platform.get(url).status_code == 200
    kept = kubectl("get", "statefulsets,secrets", "-n", "mc-system", "-o", "name").split()
    assert {"statefulset.apps/postgres", "secret/database", "secret/platform"} <= set(kept)

    # The tenants' rows are there, and so are their keys.
    operate(*install)
    assert ada("describe", name, "-o", "json").json["status"] == "ready"
    survives_its_namespace(ada, name, namespace)
    assert platform.get(url).status_code == 200

    with ThreadPoolExecutor(max_workers=1) as operator:
        hold(name, namespace, HOLD)
        uninstalled = operator.submit(operate, "uninstall", "--tenants", "--yes")
        gone = "jsonpath={.metadata.deletionTimestamp}"
        look = ("get", "ksvc", name, "-n", namespace, "-o", gone)
        eventually("the service", lambda: kubectl(*look), 120, bool)
        hold(name, namespace)
        uninstalled.result()

    def differs() -> list[str]:
        now = everything()
        return sorted(each for each in {*before, *now} if before.get(each) != now.get(each))

    eventually("the cluster is as before", differs, 90, lambda places: not places)


def survives_its_namespace(ada: Person, name: str, namespace: str) -> None:
    """Delete an organisation's namespace, which something holds: it is told, and all comes back."""
    hold(name, namespace, HOLD)
    kubectl("delete", "namespace", namespace, "--wait=false")

    def service() -> Any:
        return ada("describe", name, "-o", "json").json

    told = eventually("the row", service, 60, lambda found: found["status"] == "pending")
    assert "is being deleted" in told["message"]

    def held() -> list[str]:
        return [f"{each['kind']}: {each['by']}" for each in status()["held"]]

    eventually("what is held", held, 60, lambda said: len(said) == 2 and HOLD in "".join(said))
    print("\n".join(held()))
    hold(name, namespace)
    took = seconds("the service", service, lambda found: found["status"] == "ready")
    print(f"a namespace that was held: its service ready {took:.1f} s after")


def test_what_stands_in_the_way_is_said_in_words() -> None:
    shipped = ("install", "--domain", "example.eu", "--image", "registry.example.eu/maxcloud:1")
    said = operate(*shipped, code=1, err=True)
    assert "things stand in the way" in said
    assert "no default StorageClass" in said
    assert "registry.example.eu/maxcloud:1 names no digest" in said


def test_who_has_no_rights_is_told_before_anything_is_written(tmp_path: Path) -> None:
    config = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
    token = kubectl("create", "token", "default", "-n", "default").strip()
    for each in config["users"]:
        each["user"] = {"token": token}
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config), encoding="utf-8")
    file.chmod(0o600)
    (tmp_path / "nothing.yaml").write_text("")
    install = ("install", "--manifests", str(tmp_path / "nothing.yaml"))
    said = operate(*install, code=1, err=True, env={"KUBECONFIG": str(file)})
    assert "this context may not create namespaces, secrets" in said

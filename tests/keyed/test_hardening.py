"""What a tenant's container cannot be or have, and which mechanism says so.

The attempts are the cluster administrator's wherever they can be, so that no lack of rights hides
what refuses them.
"""

import json
import ssl
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.cluster.environment import kubectl
from tests.cluster.processes import API_SERVER, PKI
from tests.journeys import images
from tests.keyed.cluster import Shop, made_whole, shop
from tests.keyed.platform import Keyed, key_of, registered

pytestmark = pytest.mark.usefixtures("on_the_cluster")

CONTAINER = {"name": "c", "image": "dev.local/static-http:1"}


def container(**changes: Any) -> dict[str, Any]:
    return {"containers": [{**CONTAINER, **changes}]}


HOST_FILES = {"name": "host", "hostPath": {"path": "/"}}

# What a pod asks for, and how Pod Security names it.
PODS: dict[str, tuple[dict[str, Any], str]] = {
    "every right": (container(securityContext={"privileged": True}), "privileged"),
    "a right more": (
        container(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}),
        "non-default capabilities",
    ),
    "the machine's files": ({**container(), "volumes": [HOST_FILES]}, "hostPath volumes"),
    "the machine's network": ({**container(), "hostNetwork": True}, "host namespaces"),
    "the machine's processes": ({**container(), "hostPID": True}, "host namespaces"),
    "a port of the machine": (
        container(ports=[{"containerPort": 80, "hostPort": 80}]),
        "hostPort",
    ),
    "no filter of system calls": (
        container(securityContext={"seccompProfile": {"type": "Unconfined"}}),
        "seccompProfile",
    ),
}

# The same of a Knative Service, and the field that Knative's webhook names.
SERVICES: dict[str, tuple[dict[str, Any], str]] = {
    "every right": (
        container(securityContext={"privileged": True}),
        "containers[0].securityContext.privileged",
    ),
    "the machine's files": ({**container(), "volumes": [HOST_FILES]}, "volumes[0].hostPath"),
    "the machine's network": ({**container(), "hostNetwork": True}, "template.spec.hostNetwork"),
}


@pytest.fixture(scope="module")
def ours(keyed: Keyed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop with an instance, whose image runs as root."""
    folder = tmp_path_factory.mktemp("hardening")
    image = keyed.platform.backend.push(images.web(folder / "web.tar", page=""), "hardening")
    with shop(registered(keyed, folder, "ada"), image) as opened:
        yield opened


@pytest.fixture(scope="module")
def theirs(keyed: Keyed, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The namespace of somebody else's organisation."""
    return made_whole(registered(keyed, tmp_path_factory.mktemp("theirs"), "eve"))


def refusal(manifest: dict[str, Any], *options: str) -> str:
    """Create an object, without keeping it, and return why it cannot be."""
    create = ("create", "--dry-run=server", "-f", "-", *options)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        kubectl(*create, stdin=json.dumps(manifest))
    return str(refused.value.stderr)


def pod(namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "evil", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("what", PODS)
def test_pod_security_refuses(ours: Shop, what: str) -> None:
    spec, named = PODS[what]
    said = refusal(pod(ours.namespace, spec))
    assert 'violates PodSecurity "baseline:latest"' in said
    assert named in said


@pytest.mark.parametrize("what", SERVICES)
def test_knative_refuses(ours: Shop, what: str) -> None:
    spec, field = SERVICES[what]
    service = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "evil", "namespace": ours.namespace},
        "spec": {"template": {"spec": spec}},
    }
    said = refusal(service)
    assert "validation.webhook.serving.knative.dev" in said
    assert field in said


@pytest.mark.parametrize(
    "asked", [{"privileged": True}, {"volumes": [HOST_FILES]}, {"host_network": True}]
)
def test_the_api_refuses(keyed: Keyed, ours: Shop, asked: dict[str, Any]) -> None:
    wanted = {"name": f"o-{uuid.uuid4().hex[:8]}", "image": keyed.platform.backend.sample, **asked}
    key = {"Authorization": f"Bearer {key_of(ours.owner)}"}
    answer = keyed.platform.api("POST", "/api/v1/services", headers=key, json=wanted)
    assert (answer.status_code, answer.json()["field"]) == (400, next(iter(asked)))


def test_an_instance_has_no_token_and_its_root_no_rights(ours: Shop) -> None:
    inside = ours.instance
    assert inside.run("id", "-u").strip() == "0"
    for refused, why in (
        (("ls", "/var/run/secrets/kubernetes.io"), "No such file"),
        (("mount", "-t", "tmpfs", "none", "/www"), "permission denied"),
        (("ip", "link", "set", "eth0", "down"), "Operation not permitted"),
    ):
        with pytest.raises(subprocess.CalledProcessError, match=why):
            inside.run(*refused)


@pytest.mark.parametrize("resource", ["secrets", "pods", "services", "configmaps"])
def test_roles_refuse_its_account(ours: Shop, theirs: str, resource: str) -> None:
    """A token such as no instance has, for the account that its pods run as."""
    token = kubectl("create", "token", "default", "-n", ours.namespace).strip()
    trusted = ssl.create_default_context(cafile=PKI / "kubernetes-ca.crt")
    with httpx.Client(base_url=API_SERVER, verify=trusted) as client:
        for namespace in (ours.namespace, theirs, "mc-system", "kourier-system"):
            path = f"/api/v1/namespaces/{namespace}/{resource}"
            answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 403
            account = f"system:serviceaccount:{ours.namespace}:default"
            assert f'User "{account}" cannot list resource "{resource}"' in answer.json()["message"]

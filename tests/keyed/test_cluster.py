"""What Kubernetes itself keeps apart, and what a namespace that cannot be had does to a service."""

import json
import subprocess
import uuid
from pathlib import Path

import pytest

from maxcloud.knative import isolation
from tests.cluster.environment import KUBECONFIG, STATE, kubectl
from tests.journeys.platform import eventually
from tests.keyed.cluster import made_whole, missing_in
from tests.keyed.platform import Keyed, registered

pytestmark = pytest.mark.usefixtures("on_the_cluster")


def may(account: str, *what: str) -> bool:
    command = [str(STATE / "bin/kubectl"), f"--kubeconfig={KUBECONFIG}", "auth", "can-i", *what]
    done = subprocess.run(
        [*command, f"--as=system:serviceaccount:{account}"], capture_output=True, check=False
    )
    return done.returncode == 0


def test_organisations_are_out_of_each_others_reach(keyed: Keyed, tmp_path: Path) -> None:
    ours, theirs = (made_whole(registered(keyed, tmp_path, who)) for who in ("ada", "eve"))
    for verb in ("get", "list", "create", "delete"):
        for resource in ("secrets", "pods", "services", "services.serving.knative.dev"):
            for where in (ours, theirs, "mc-system", "knative-serving"):
                assert not may(f"{ours}:default", verb, resource, "-n", where)
    labels = json.loads(kubectl("get", "namespace", ours, "-o", "json"))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    # What the functions may do is bounded too: `logs` reads where a binding lets it, no more.
    assert not may("mc-system:reconcile", "get", "secrets", "-n", ours)
    assert not may("mc-system:services", "list", "pods", "-n", ours)
    for what in (("list", "pods"), ("watch", "pods"), ("get", "pods", "--subresource=log")):
        assert may("mc-system:logs", *what, "-n", ours)
        assert not may("mc-system:logs", *what, "-n", "knative-serving")
    assert not may("mc-system:logs", "get", "secrets", "-n", ours)


def test_a_privileged_pod_is_refused(keyed: Keyed, tmp_path: Path) -> None:
    namespace = made_whole(registered(keyed, tmp_path, "ada"))
    container = {"name": "c", "image": "dev.local/static-http:1"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "evil", "namespace": namespace},
        "spec": {"containers": [{**container, "securityContext": {"privileged": True}}]},
    }
    with pytest.raises(subprocess.CalledProcessError, match="violates PodSecurity"):
        kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def test_what_is_deleted_comes_back_and_a_second_look_writes_nothing(
    keyed: Keyed, tmp_path: Path
) -> None:
    ada = registered(keyed, tmp_path, "ada")
    namespace = made_whole(ada)

    def versions() -> list[str]:
        kinds = "limitrange,resourcequota,networkpolicy,serviceaccount"
        listed = json.loads(kubectl("get", kinds, "-n", namespace, "-o", "json"))["items"]
        return sorted(each["metadata"]["resourceVersion"] for each in listed)

    kubectl("delete", "networkpolicy", "maxcloud", "-n", namespace)
    name = f"o-{uuid.uuid4().hex[:8]}"
    ada("deploy", keyed.platform.backend.sample, "--name", name)
    assert missing_in(namespace) == []
    ada("delete", name, "--yes")
    before = versions()
    ada("deploy", keyed.platform.backend.sample, "--name", name)
    ada("delete", name, "--yes")
    # The quota's own status counts what is used; the others have not been touched.
    assert len(set(before) & set(versions())) >= 3


def test_logs_are_read_by_the_binding_in_the_namespace_alone(keyed: Keyed, tmp_path: Path) -> None:
    ada = registered(keyed, tmp_path, "ada")
    namespace = made_whole(ada)
    name, other = (f"o-{uuid.uuid4().hex[:8]}" for _ in range(2))
    ada("deploy", keyed.platform.backend.sample, "--name", name)
    ada("logs", name)
    kubectl("delete", "rolebinding", isolation.LOGS, "-n", namespace)

    def refusal() -> str:
        return ada("logs", name, code=None).err

    hidden = "the cluster does not show its instances now"
    eventually("a refusal", refusal, 30, lambda said: hidden in said)
    # Whatever is deployed anew looks at what bounds its organisation.
    ada("deploy", keyed.platform.backend.sample, "--name", other)
    eventually("logs", refusal, 30, lambda said: hidden not in said)
    ada("logs", name)
    for each in (name, other):
        ada("delete", each, "--yes")


def test_a_namespace_of_somebody_else_fails_the_service(keyed: Keyed, tmp_path: Path) -> None:
    ada = registered(keyed, tmp_path, "ada")
    namespace = made_whole(ada)
    kubectl("label", "namespace", namespace, "maxcloud.dev/org=somebody-else", "--overwrite")
    name = f"o-{uuid.uuid4().hex[:8]}"
    failed = ada("deploy", keyed.platform.backend.sample, "--name", name, code=1)
    assert "NamespaceFailed" in failed.err
    assert kubectl("get", "ksvc", "-n", namespace, "-o", "name") == ""

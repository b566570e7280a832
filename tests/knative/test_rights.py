"""What each account of the platform may do in the cluster: what its code calls, no more."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from maxcloud.config import DEV_ORG_ID
from maxcloud.knative import isolation
from tests.cluster.backend import NAMESPACE
from tests.cluster.environment import kubectl
from tests.rights import NAMES, OTHERS, Rights, used_by

NOBODY = "nobody"
"""An account that does not exist: it may do what everybody may."""

MATRIX: dict[str, Rights] = {**{name: used_by(name) for name in NAMES}, **OTHERS}


def user(account: str) -> str:
    return f"--as=system:serviceaccount:mc-system:{account}"


def granted(account: str, namespace: str) -> Rights:
    """What the cluster says an account may do in a namespace, as `kubectl auth can-i --list`."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    said = kubectl(
        "create",
        "-f",
        "-",
        "-o",
        "json",
        "--validate=false",
        user(account),
        stdin=json.dumps(review),
    )
    found: Rights = {}
    for rule in json.loads(said)["status"]["resourceRules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


@pytest.mark.parametrize("namespace", ["mc-system", "default", "kube-system"])
@pytest.mark.parametrize("account", MATRIX)
def test_an_account_may_do_what_its_code_calls_and_nothing_else(
    account: str, namespace: str
) -> None:
    everybody = granted(NOBODY, namespace)
    own = {what: verbs for what, verbs in granted(account, namespace).items() if verbs}
    more = {what: verbs for what, verbs in own.items() if everybody.get(what) != verbs}
    # Logs are read where organisations are: here in DEV_MODE's namespace, and the platform's own.
    is_bound = account != "logs" or namespace in {NAMESPACE, "mc-system"}
    assert more == (MATRIX[account] if is_bound else {})


@pytest.mark.parametrize(
    "account", ["services", "auth", "invites", "health", "mailer", "registry", "migrate"]
)
@pytest.mark.parametrize(
    "action",
    ["get secrets", "list pods", "get ksvc", "create ksvc", "create pods", "list namespaces"],
)
def test_what_serves_the_api_may_do_nothing(account: str, action: str) -> None:
    answer = ["auth", "can-i", *action.split(), "-n", "mc-system", user(account)]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        kubectl(*answer)
    assert refused.value.stdout.strip() == "no"


def attempt(*manifests: dict[str, Any], command: str = "create") -> str | None:
    """Write as `reconcile`, without keeping it; return why it is refused, or None."""
    written = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
    try:
        kubectl(command, "-f", "-", "--dry-run=server", user("reconcile"), stdin=written)
    except subprocess.CalledProcessError as error:
        return str(error.stderr)
    return None


@pytest.fixture(scope="module")
def organisation() -> Iterator[tuple[uuid.UUID, str]]:
    """The namespace of an organisation that has nothing else."""
    org_id = uuid.uuid4()
    namespace = f"mc-org-{org_id}"
    kubectl("create", "-f", "-", user("reconcile"), stdin=json.dumps(home(org_id)[0]))
    yield org_id, namespace
    kubectl("delete", "namespace", namespace, "--wait=false")


def home(org_id: uuid.UUID) -> list[dict[str, Any]]:
    return isolation.objects(org_id, f"mc-org-{org_id}")


def ksvc(namespace: str, org_id: uuid.UUID, **pod: Any) -> dict[str, Any]:
    labels = {"maxcloud.dev/managed": "true", "maxcloud.dev/org": str(org_id)}
    container = {"image": f"dev.local/shop@sha256:{'a' * 64}"}
    spec = {"containers": [container], "automountServiceAccountToken": False, **pod}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "shop", "namespace": namespace, "labels": labels},
        "spec": {"template": {"spec": spec}},
    }


OUTSIDE = "reconcile may write to the namespaces of organisations"


def test_reconcile_writes_what_bounds_an_organisation(
    organisation: tuple[uuid.UUID, str],
) -> None:
    org_id, namespace = organisation
    _, account, *others = home(org_id)
    assert attempt(*others, ksvc(namespace, org_id)) is None
    # The cluster makes this one itself, a moment after the namespace.
    kubectl("wait", "serviceaccount/default", "-n", namespace, "--for=create", "--timeout=30s")
    assert attempt(account, command="replace") is None


@pytest.mark.parametrize(
    "namespace", ["mc-system", "kube-system", "knative-serving", "mc-org-1", "mc-orgs"]
)
def test_reconcile_is_refused_outside_of_organisations(namespace: str) -> None:
    for wanted in isolation.objects(uuid.uuid4(), namespace)[:1]:
        assert OUTSIDE in (attempt(wanted) or "")


@pytest.mark.parametrize("namespace", ["mc-system", "kube-system", "knative-serving"])
def test_reconcile_is_refused_in_the_namespaces_of_others(namespace: str) -> None:
    _, _, *bounds = isolation.objects(DEV_ORG_ID, namespace)
    for wanted in [*bounds, ksvc(namespace, DEV_ORG_ID)]:
        assert OUTSIDE in (attempt({**wanted, **named(wanted, namespace)}) or "")


def named(wanted: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The same object under a name that nothing has yet."""
    metadata = wanted["metadata"] | {"name": "of-a-test", "namespace": namespace}
    return {"metadata": metadata}


def test_in_dev_modes_namespace_reconcile_writes_services_alone() -> None:
    name = f"k-{uuid.uuid4().hex[:8]}"
    service = ksvc("default", DEV_ORG_ID)
    service["metadata"]["name"] = name
    assert attempt(service) is None
    _, _, limits, *_ = isolation.objects(DEV_ORG_ID, "default")
    assert OUTSIDE in (attempt(limits) or "")


def test_reconcile_is_refused_what_is_another_organisations(
    organisation: tuple[uuid.UUID, str],
) -> None:
    _, namespace = organisation
    assert "labelled with the organisation" in (attempt(ksvc(namespace, uuid.uuid4())) or "")


def test_reconcile_makes_no_namespace_without_pod_security() -> None:
    wanted = home(uuid.uuid4())[0]
    del wanted["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert "Pod Security" in (attempt(wanted) or "")


@pytest.mark.parametrize(
    "pod", [{"automountServiceAccountToken": True}, {"serviceAccountName": "other"}]
)
def test_reconcile_gives_no_service_an_account(
    organisation: tuple[uuid.UUID, str], pod: dict[str, Any]
) -> None:
    org_id, namespace = organisation
    assert "default account" in (attempt(ksvc(namespace, org_id, **pod)) or "")


def test_reconcile_gives_no_role_but_that_logs_are_read(
    organisation: tuple[uuid.UUID, str],
) -> None:
    org_id, _ = organisation
    [binding] = [each for each in home(org_id) if each["kind"] == "RoleBinding"]
    for change in (
        {"subjects": [{"kind": "ServiceAccount", "name": "reconcile", "namespace": "mc-system"}]},
        {"subjects": [{"kind": "ServiceAccount", "name": "logs", "namespace": "default"}]},
    ):
        assert "the one role" in (attempt({**binding, **change}) or "")


def test_reconcile_writes_no_secret_but_what_images_are_pulled_with(
    organisation: tuple[uuid.UUID, str],
) -> None:
    org_id, namespace = organisation
    secret = isolation.pull_secret(org_id, namespace, "registry.example.eu", "u", "k")
    assert attempt(secret) is None
    assert "the one Secret" in (attempt({**secret, **named(secret, namespace)}) or "")


def test_reconcile_deletes_no_function_of_the_platform() -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        kubectl(
            *("delete", "ksvc", "health", "-n", "mc-system"),
            *("--dry-run=server", user("reconcile")),
        )
    assert OUTSIDE in refused.value.stderr

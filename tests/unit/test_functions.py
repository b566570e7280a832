"""A function is one truth: functions/*.py, deploy/base/functions and names.py."""

from decimal import Decimal

import pytest
from kubernetes.utils.quantity import parse_quantity

from maxcloud import connection, names, runtime
from maxcloud.knative import pods
from maxcloud.logs import answer
from maxcloud_local import kinds
from maxcloud_local.instances import pods as instances
from maxcloud_local.kubernetes import podlogs
from tests.manifests import APIS, BASE, KNATIVE, documents, resources
from tests.rights import NAMES, code_of

API_ROLE, WORKER_ROLE = "api-url", "worker-url"
DATABASE_ROLE = dict.fromkeys(
    ("auth", "health", "invites", "logs", "registry", "services"), API_ROLE
)

[PRIORITY] = [each["metadata"]["name"] for each in documents(BASE / "priority.yaml")]

# Who makes tokens for the registry: for callers, and for itself.
SIGNING = {"registry", "reconcile"}


@pytest.mark.parametrize("function", NAMES)
def test_a_function_runs_as_its_manifest_must_say(function: str) -> None:
    [ksvc] = documents(BASE / "functions" / f"{function}.yaml")
    assert ksvc["metadata"]["name"] == function
    assert ksvc["metadata"]["namespace"] == "mc-system"
    assert ksvc["metadata"]["labels"]["networking.knative.dev/visibility"] == "cluster-local"
    assert ksvc["spec"]["traffic"] == [{"latestRevision": True, "percent": 100}]
    spec = ksvc["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == function
    assert spec["priorityClassName"] == PRIORITY
    assert spec["enableServiceLinks"] is False
    [container] = spec["containers"]
    env = {each["name"]: each for each in container["env"]}
    assert env["FUNCTION_TARGET"]["value"] == function
    key = env["DATABASE_URL"]["valueFrom"]["secretKeyRef"]["key"]
    assert key == DATABASE_ROLE.get(function, WORKER_ROLE)
    secret = {"name": "platform", "key": "secret-key", "optional": True}
    expected = {"name": "SECRET_KEY", "valueFrom": {"secretKeyRef": secret}}
    assert env.get("SECRET_KEY") == (expected if APIS[function].needs_secret else None)
    assert ({"RESEND_API_KEY", "SMTP_URL"} <= set(env)) == (function == "mailer")
    assert ("REGISTRY_JWT_SECRET" in env) == (function in SIGNING)
    assert env["K_SINK"]["value"].endswith("/mc-system/maxcloud")
    assert container["readinessProbe"] == {"httpGet": {"path": "/healthz"}}
    security = container["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}


def test_knative_takes_the_functions_priority() -> None:
    settings = {each["metadata"]["name"]: each for each in documents(KNATIVE / "settings.yaml")}
    assert settings["config-features"]["data"] == {
        "kubernetes.podspec-priorityclassname": "enabled"
    }


@pytest.mark.parametrize("function", NAMES)
def test_who_proves_keys_or_signs_tokens_has_the_secret_and_nobody_else(function: str) -> None:
    code = "".join(code_of(function))
    proves_keys = any(route.role is not None for route in APIS[function].routes)
    assert APIS[function].needs_secret == (proves_keys or "secret_keys" in code)


def test_every_function_is_applied_and_its_name_is_no_tenants() -> None:
    assert sorted(path.stem for path in (BASE / "functions").glob("*.yaml")) == NAMES
    assert {f"functions/{name}.yaml" for name in NAMES} <= resources(BASE)
    assert set(NAMES) <= names.RESERVED_NAMES
    assert set(APIS) == set(NAMES)


def test_the_platforms_quota_leaves_room_for_a_rollout_at_its_largest() -> None:
    [_, quota, _] = documents(BASE / "namespace.yaml")
    settings = {each["metadata"]["name"]: each for each in documents(KNATIVE / "settings.yaml")}
    sidecar = settings["config-deployment"]["data"]
    pods, limits = 0, Decimal()
    for function in NAMES:
        [ksvc] = documents(BASE / "functions" / f"{function}.yaml")
        template = ksvc["spec"]["template"]
        scale = int(template["metadata"]["annotations"]["autoscaling.knative.dev/max-scale"])
        [container] = template["spec"]["containers"]
        memory = container["resources"]["limits"]["memory"]
        limit = amount(memory) + amount(sidecar["queue-sidecar-memory-limit"])
        pods, limits = pods + 2 * scale, limits + 2 * scale * limit
    hard = quota["spec"]["hard"]
    assert pods < int(hard["pods"])
    assert limits < amount(hard["limits.memory"])
    assert (hard["services.loadbalancers"], hard["services.nodeports"]) == ("0", "0")


def amount(text: str) -> Decimal:
    return Decimal(parse_quantity(text))  # type: ignore[no-untyped-call]


def test_the_engine_has_the_words_that_logs_are_read_with() -> None:
    assert (pods.CRI_LOG, pods.CONTAINER) == (podlogs.CRI_LOG, instances.CONTAINER)
    assert pods.SERVICE_LABEL == kinds.SERVICE_LABEL


def test_a_stream_ends_before_it_is_cut_and_is_never_silent_for_too_long() -> None:
    [ksvc] = documents(BASE / "functions" / "logs.yaml")
    spec = ksvc["spec"]["template"]["spec"]
    assert spec["timeoutSeconds"] > answer.STREAM_SECONDS + answer.FAREWELL_SECONDS
    assert spec["containerConcurrency"] == 0
    assert answer.FAREWELL_SECONDS < runtime.DRAIN_SECONDS
    assert 2 * answer.PING_SECONDS < connection.SILENT_SECONDS

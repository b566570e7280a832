"""What an installation consists of, in which order, and what is refused before it begins."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from maxcloud import registry
from maxcloud_cli.platform import checks, plan, secrets, upness
from maxcloud_local import manifests

IMAGE = f"registry.example.eu/maxcloud@sha256:{'a' * 64}"
SHIPPED = plan.shipped("example.eu", IMAGE, {"EMAIL_FROM": "us@example.eu"})


def of_kind(kind: str, objects: list[dict[str, Any]] = SHIPPED) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def functions(objects: list[dict[str, Any]] = SHIPPED) -> list[dict[str, Any]]:
    return [each for each in objects if each["apiVersion"] == "serving.knative.dev/v1"]


def test_what_is_shipped_is_for_the_domain_and_the_image() -> None:
    hosts = {name: each["spec"]["rules"][0]["hosts"] for name, each in of_kind("Ingress").items()}
    assert hosts == {"api": ["api.example.eu"], "distribution": ["registry.example.eu"]}
    assert plan.settings_of(SHIPPED) == {
        "MAXCLOUD_DOMAIN": "example.eu",
        "EMAIL_FROM": "us@example.eu",
        "REGISTRY_URL": "registry.example.eu",
        "REGISTRY_ADDRESS": "http://distribution.mc-system.svc.cluster.local",
    }
    assert of_kind("ConfigMap")["config-domain"]["data"] == {"example.eu": ""}
    assert plan.images(SHIPPED) == {IMAGE}
    for each in [*functions(), of_kind("Job")["migrate"]]:
        assert each["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE


def test_a_wheel_carries_all_that_is_shipped() -> None:
    text = (manifests.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for folder in ("deploy/base", "deploy/knative", "eventing"):
        assert f'= "maxcloud_local/shipped/{folder}"' in text


def test_the_order_is_what_functions_stand_on_then_the_schema_the_functions_and_events() -> None:
    phases = plan.phases(SHIPPED)
    assert sum(len(phase.objects) for phase in phases) == len(SHIPPED)
    kinds = {phase.title: {each["kind"] for each in phase.objects} for phase in phases}
    first = kinds.pop("settings and rights")
    assert {"Namespace", "ClusterRole", "NetworkPolicy", "ValidatingAdmissionPolicy"} <= first
    assert list(kinds.items()) == [
        ("database", {"StatefulSet"}),
        ("schema", {"Job"}),
        ("registry", {"Deployment"}),
        # A few at a time, and the others only when these are well.
        *((f"functions, {done} of 9", {"Service"}) for done in (3, 6, 9)),
        ("routes", {"Ingress"}),
        ("broker and sources", {"Broker", "PingSource", "ApiServerSource"}),
        ("events", {"Trigger"}),
    ]
    assert phases[0].objects[0]["kind"] == "Namespace"


def test_secrets_come_before_what_mounts_them() -> None:
    objects = [*SHIPPED, secrets.secret("database", secrets.database())]
    first = [each["kind"] for each in plan.phases(objects)[0].objects]
    assert first.index("Secret") < first.index("Service")


@pytest.mark.parametrize("makes_namespace", [True, False])
def test_a_label_stands_on_what_is_made_and_on_nothing_of_others(makes_namespace: bool) -> None:
    made = plan.marked(SHIPPED, makes_namespace=makes_namespace)
    bare = {
        f"{each['kind']} {each['metadata']['name']}"
        for each in made
        if plan.LABEL not in each["metadata"].get("labels", {})
    }
    knatives = {"autoscaler", "deployment", "domain", "features", "gc", "network"}
    expected = {f"ConfigMap config-{each}" for each in knatives}
    assert bare == expected | (set() if makes_namespace else {"Namespace mc-system"})
    [claim] = of_kind("StatefulSet", made)["postgres"]["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["labels"] == {plan.LABEL: plan.OURS}


def test_another_setting_is_another_revision_of_every_function() -> None:
    def marks(settings: dict[str, str]) -> set[str]:
        objects = plan.shipped("example.eu", IMAGE, settings)
        made = functions(plan.marked(objects, makes_namespace=True))
        return {
            each["spec"]["template"]["metadata"]["annotations"]["maxcloud.dev/settings"]
            for each in made
        }

    [one], [same], [other] = marks({}), marks({}), marks({"LOG_LEVEL": "debug"})
    assert one == same != other


def test_keys_are_new_each_time_long_and_fit_each_other() -> None:
    one, other = secrets.database(), secrets.database()
    assert not set(one.values()) & set(other.values())
    for role, user in (("owner", "postgres"), ("api", "mc_api"), ("worker", "mc_worker")):
        password = one[f"{role}-password"]
        assert one[f"{role}-url"] == f"postgresql://{user}:{password}@postgres.mc-system/postgres"
    assert len(secrets.platform()["secret-key"].encode()) >= 32
    keys = secrets.private_registry()
    assert json.loads(keys["jwks.json"]) == registry.jwks([keys["jwt-secret"]])
    assert keys["hook-secret"] == registry.hook_secrets([keys["jwt-secret"]])[0]


def test_every_secret_that_a_manifest_names_is_made_or_said() -> None:
    named = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in {"secretKeyRef", "secretRef"} and not inner.get("optional"):
                    named.add(inner["name"])
                if key == "secret" and "secretName" in inner:
                    named.add(inner["secretName"])
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    look(SHIPPED)
    assert named <= {*secrets.MADE_ONCE, secrets.MAIL, secrets.STORAGE}


def test_what_a_person_says_is_read_from_the_environment() -> None:
    said = secrets.said(
        {
            "SMTP_URL": "smtps://x",
            "RESEND_API_KEY": "",
            "REGISTRY_STORAGE_S3_BUCKET": "b",
            "HOME": "/",
        }
    )
    assert said == {
        "mail": {"smtp-url": "smtps://x"},
        "registry-storage": {"REGISTRY_STORAGE_S3_BUCKET": "b"},
    }
    assert secrets.said({"HOME": "/"}) == {}
    kept = secrets.secret("mail", said["mail"])["data"]["smtp-url"]
    assert base64.b64decode(kept) == b"smtps://x"


BOTH = ("mail", "registry-storage")


@pytest.mark.parametrize(
    ("settings", "has", "said"),
    [
        ({"MAXCLOUD_DOMAIN": "example.eu"}, BOTH, []),
        ({"MAXCLOUD_DOMAIN": "localhost:8080", "DEV_MODE": "true"}, BOTH[1:], []),
        ({"MAXCLOUD_DOMAIN": "example.eu"}, BOTH[1:], ["no mail server is named"]),
        ({"MAXCLOUD_DOMAIN": "example.eu"}, BOTH[:1], ["the private registry has no place"]),
        ({"MAXCLOUD_DOMAIN": "https://x"}, (), ["MAXCLOUD_DOMAIN"]),
        ({"MAXCLOUD_DOMAIN": "example.eu", "DEV_MODE": "true"}, (), ["DEV_MODE is refused"]),
    ],
)
def test_settings_are_looked_at(
    settings: dict[str, str], has: tuple[str, ...], said: list[str]
) -> None:
    found = list(checks.of_settings(settings, has))
    assert len(found) == len(said), found
    for sentence, beginning in zip(found, said, strict=True):
        assert sentence.startswith(beginning)


@pytest.mark.parametrize(
    ("image", "is_refused"),
    [
        (IMAGE, False),
        ("dev.local/maxcloud:abc", False),
        ("registry.example.eu/maxcloud:1.0", True),
        ("registry.example.eu/maxcloud", True),
    ],
)
def test_an_image_is_named_by_digest(image: str, is_refused: bool) -> None:
    assert bool(list(checks.of_images({image}))) == is_refused


@pytest.mark.parametrize(
    ("version", "is_refused"),
    [
        ("1.23.0", False),
        ("v1.20.1", True),
        ("v0.50.0", False),
        ("v0.47.0", True),
        ("2.0.0", False),
        ("unknown", False),
        ("not installed", False),
    ],
)
def test_an_old_knative_is_told(version: str, is_refused: bool) -> None:
    assert bool(list(checks.of_knatives_version("Knative Serving", version))) == is_refused


def test_a_setting_of_knative_that_somebody_else_chose_is_not_overwritten() -> None:
    def live(manager: str, value: str) -> dict[str, Any]:
        fields: dict[str, Any] = {"f:data": {"f:domain-template": {}}}
        return {
            "metadata": {"managedFields": [{"manager": manager, "fieldsV1": fields}]},
            "data": {"domain-template": value},
        }

    wanted = plan.config_map("knative-serving", "config-network", {"domain-template": "ours"})
    assert list(checks.of_conflicts({}, wanted)) == []
    assert list(checks.of_conflicts(live("helm", "ours"), wanted)) == []
    assert list(checks.of_conflicts(live("maxcloud", "of the version before"), wanted)) == []
    [said] = checks.of_conflicts(live("helm", "theirs"), wanted)
    assert said.startswith("domain-template of config-network in knative-serving is 'theirs'")


@pytest.mark.parametrize(
    ("domain", "url"),
    [
        ("localhost:8080", "http://api.localhost:8080"),
        ("example.eu", "https://api.example.eu"),
    ],
)
def test_where_the_api_is(domain: str, url: str) -> None:
    assert plan.api_url(plan.shipped(domain, IMAGE, {})) == url


def ksvc(observed: int, status: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "services", "generation": 2},
        "status": {
            "observedGeneration": observed,
            "conditions": [{"type": "Ready", "status": status, "message": "no such image"}],
            "traffic": [{"revisionName": "services-00001", "percent": 100}],
        },
    }


FUNCTION = functions()[0]


def test_a_function_is_up_when_the_generation_that_was_applied_is_ready() -> None:
    assert upness.of(ksvc(2, "True"), FUNCTION).is_up
    assert not upness.of(ksvc(1, "True"), FUNCTION).is_up
    assert not upness.of(ksvc(2, "Unknown"), FUNCTION).has_failed
    assert not upness.of(ksvc(1, "False"), FUNCTION).has_failed
    assert not upness.of(None, FUNCTION).is_up


def test_a_function_that_has_failed_says_why_and_what_serves() -> None:
    state = upness.of(ksvc(2, "False"), FUNCTION)
    assert (state.is_up, state.has_failed, state.is_final) == (False, True, False)
    assert (state.why_not, state.serves) == ("no such image", "services-00001")


def test_a_job_is_run_again_for_another_image_and_for_other_settings() -> None:
    marked = plan.marked(SHIPPED, makes_namespace=True)
    wanted = of_kind("Job", marked)["migrate"]
    done = {**wanted, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    failed = {**wanted, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}
    [other] = of_kind("Job", plan.shipped("example.eu", "other@sha256:1", {})).values()
    assert upness.is_the_same_job(done, wanted)
    assert not upness.is_the_same_job(done, other)
    dev = plan.marked(
        plan.shipped("example.eu", IMAGE, {"LOG_LEVEL": "debug"}), makes_namespace=True
    )
    assert not upness.is_the_same_job(done, of_kind("Job", dev)["migrate"])
    assert not upness.is_the_same_job(failed, wanted)
    assert upness.of(done, wanted).is_up
    assert upness.of(failed, wanted).is_final


@pytest.mark.parametrize(
    ("status", "is_up"),
    [
        ({"observedGeneration": 3, "updatedReplicas": 2, "readyReplicas": 2}, True),
        ({"observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 2}, False),
        ({"observedGeneration": 3, "updatedReplicas": 1, "readyReplicas": 2}, False),
        ({"observedGeneration": 3, "updatedReplicas": 2}, False),
        ({}, False),
    ],
)
def test_a_workload_is_up_with_all_its_new_pods(status: dict[str, int], is_up: bool) -> None:
    wanted = of_kind("Deployment")["distribution"]
    live = {**wanted, "metadata": {**wanted["metadata"], "generation": 3}, "status": status}
    assert upness.of(live, wanted).is_up == is_up

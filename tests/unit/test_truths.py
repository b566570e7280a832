"""What several files say must be one truth: routes, events, functions and their rights."""

import ast
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from kubernetes.utils.quantity import parse_quantity

from maxcloud import connection, events, mail, names, openapi, registry, runtime
from maxcloud.http import Api
from maxcloud.knative import isolation, pods
from maxcloud.logs import answer
from maxcloud.models import ServiceHint
from maxcloud.store import mails
from maxcloud_local import kinds
from maxcloud_local.instances import pods as instances
from maxcloud_local.kubernetes import podlogs
from tests.conftest import ACCEPTED, FUNCTIONS, PUBLIC, STREAMS, function_of
from tests.rights import NAMES, OTHERS, code_of, used_by

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "deploy" / "overlays" / "local"
BASE, EVENTING = ROOT / "deploy" / "base", ROOT / "eventing"
KNATIVE = ROOT / "deploy" / "knative"
APIS = {api.function: api for api in openapi.load(FUNCTIONS)}


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def resources(folder: Path) -> set[str]:
    found: list[str] = documents(folder / "kustomization.yaml")[0]["resources"]
    return set(found)


# Routes: functions/*.py, deploy/base/route.yaml, tests/conftest.py, openapi.json


def entries() -> list[dict[str, Any]]:
    [ingress] = [each for each in documents(BASE / "route.yaml") if each["kind"] == "Ingress"]
    [rule] = ingress["spec"]["rules"]
    found: list[dict[str, Any]] = rule["http"]["paths"]
    return found


def led(found: list[dict[str, Any]]) -> dict[str, str]:
    return {
        each["path"]: each["rewriteHost"].removesuffix(".mc-system.svc.cluster.local")
        for each in found
    }


def test_the_ingress_leads_each_path_to_its_function() -> None:
    assert led([entry for entry in entries() if "headers" not in entry]) == PUBLIC


def test_the_ingress_leads_who_accepts_events_alone_to_where_they_are() -> None:
    matching = [entry for entry in entries() if "headers" in entry]
    assert led(matching) == STREAMS
    for entry in matching:
        assert entry["headers"] == {"accept": {"exact": ACCEPTED}}


def test_a_longer_path_stands_before_its_prefix_and_none_is_the_root() -> None:
    paths = [entry["path"] for entry in entries()]
    assert "/healthz" in paths
    assert "/" not in paths
    for position, entry in enumerate(entries()):
        for earlier in entries()[:position]:
            is_the_same = earlier["path"] == entry["path"] and "headers" in earlier
            assert is_the_same or not entry["path"].startswith(earlier["path"])


def test_every_path_goes_through_one_service_and_says_who_connected() -> None:
    [service] = [each for each in documents(BASE / "route.yaml") if each["kind"] == "Service"]
    name = service["metadata"]["name"]
    for entry in entries():
        assert [split["serviceName"] for split in entry["splits"]] == [name]
        assert list(entry["appendHeaders"]) == ["x-maxcloud-client"]


@pytest.mark.parametrize("function", NAMES)
def test_each_route_is_reached_by_the_longest_prefix(function: str) -> None:
    for route in APIS[function].routes:
        assert function in {function_of(route.path), function_of(route.path, ACCEPTED)}
        assert route.template in openapi.document()["paths"]


def test_a_function_without_a_route_is_not_reached_from_outside() -> None:
    assert {name for name, api in APIS.items() if api.routes} == set(PUBLIC.values())


# Events: events.py, functions/*.py, eventing/triggers, schemas, types and README


def triggers() -> Iterator[dict[str, Any]]:
    for path in sorted((EVENTING / "triggers").glob("*.yaml")):
        for trigger in documents(path):
            assert trigger["spec"]["subscriber"]["ref"]["name"] == path.stem
            yield trigger


def filtered(filters: Any) -> set[str]:
    """The types that a trigger's filter names; a prefix with a star."""
    if isinstance(filters, list):
        return {type for each in filters for type in filtered(each)}
    found = filtered([filters[key] for key in ("any", "all") if key in filters])
    exact, prefix = filters.get("exact", {}), filters.get("prefix", {})
    found |= {exact["type"]} if "type" in exact else set()
    return found | ({prefix["type"] + "*"} if "type" in prefix else set())


def consumers() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for trigger in triggers():
        for type in filtered(trigger["spec"]["filters"]):
            found.setdefault(type, set()).add(trigger["spec"]["subscriber"]["ref"]["name"])
    return found


def rows() -> dict[str, tuple[set[str], set[str], set[str]]]:
    """eventing/README.md's table: publishers, consumers and fields by type."""
    text = (EVENTING / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `([\w.*-]+)` \| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    return {
        type: (
            set(by.split(", ")),
            set(to.split(", ")) - {"nobody yet"},
            set(re.findall(r"(\w+)\??", data)),
        )
        for type, by, to, data in found
    }


def test_the_readme_has_a_row_for_every_type() -> None:
    theirs = {events.PING, f"{events.CLUSTER_CHANGES}*"}
    assert set(rows()) == {*events.Type, *theirs}


def test_who_listens_is_what_the_triggers_say() -> None:
    assert {type: to for type, (_, to, _) in rows().items() if to} == consumers()


def publishers(type: events.Type) -> set[str]:
    """The functions whose code names a type outside a comparison."""
    found = set()
    for function, code in ((name, code) for name in NAMES for code in code_of(name)):
        tree = ast.parse(code)
        compared = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.Compare)
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and node.attr == type.name
                and id(node) not in compared
            ):
                found.add(function)
    return found


@pytest.mark.parametrize("type", events.Type)
def test_who_publishes_is_what_the_code_says(type: events.Type) -> None:
    assert rows()[type][0] == publishers(type)


@pytest.mark.parametrize("type", events.Type)
def test_a_type_has_a_schema_of_its_data(type: events.Type) -> None:
    schema = json.loads((EVENTING / "schemas" / f"{type}.json").read_text(encoding="utf-8"))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"{events.SCHEMAS}/{type}.json"
    assert schema["additionalProperties"] is True
    assert set(schema["properties"]) == rows()[type][2]
    assert set(schema["properties"]) <= set(ServiceHint.model_fields)


def test_there_is_no_schema_and_no_event_type_without_a_type() -> None:
    assert {path.stem for path in (EVENTING / "schemas").iterdir()} == set(events.Type)
    declared = documents(EVENTING / "types.yaml")
    assert [each["metadata"]["name"] for each in declared] == list(events.Type)
    for each in declared:
        type = each["metadata"]["name"]
        assert each["apiVersion"] == "eventing.knative.dev/v1beta2"
        assert each["spec"]["type"] == type
        assert each["spec"]["schema"] == f"{events.SCHEMAS}/{type}.json"


def test_what_is_delivered_has_a_path_that_takes_it() -> None:
    """A subscriber's and a dead letter sink's path is one where a function takes events."""
    for trigger in triggers():
        sinks = [trigger["spec"]["subscriber"]]
        delivery = trigger["spec"]["delivery"]
        sinks += [delivery["deadLetterSink"]] if "deadLetterSink" in delivery else []
        assert (delivery["retry"], delivery["backoffPolicy"]) == (8, "exponential")
        for sink in sinks:
            assert sink.get("uri", "/") in event_paths(APIS[sink["ref"]["name"]])


def event_paths(api: Api) -> set[str]:
    return set(api._event_handlers)


def test_every_file_of_events_is_applied() -> None:
    files = {
        str(path.relative_to(EVENTING))
        for path in EVENTING.rglob("*.yaml")
        if path.name != "kustomization.yaml"
    }
    assert resources(EVENTING) == files


# Functions: functions/*.py, deploy/base/functions, access.yaml, names.py

API_ROLE, WORKER_ROLE = "api-url", "worker-url"
DATABASE_ROLE = dict.fromkeys(
    ("auth", "health", "invites", "logs", "registry", "services"), API_ROLE
)

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


def rights(account: str) -> dict[tuple[str, str], set[str]]:
    """The verbs that an account has, by API group and resource."""
    objects = [*documents(BASE / "access.yaml"), *documents(LOCAL / "logs.yaml")]
    found: dict[tuple[str, str], set[str]] = {}
    for binding in objects:
        if not binding["kind"].endswith("Binding"):
            continue
        if account not in {subject["name"] for subject in binding["subjects"]}:
            continue
        kind, name = binding["roleRef"]["kind"], binding["roleRef"]["name"]
        [role] = [
            each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)
        ]
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


@pytest.mark.parametrize("function", NAMES)
def test_a_function_has_the_rights_that_its_code_uses_and_no_others(function: str) -> None:
    assert rights(function) == used_by(function)


WRITES = {"create", "update", "patch", "delete"}


def test_all_that_reconcile_may_write_is_bounded() -> None:
    [policy, binding] = documents(BASE / "bounds.yaml")
    written = {resource for resource, verbs in used_by("reconcile").items() if verbs & WRITES}
    rules = policy["spec"]["matchConstraints"]["resourceRules"]
    assert written == {
        (group, resource)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    for rule in rules:
        assert rule["operations"] == ["CREATE", "UPDATE", "DELETE"]
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert binding["spec"]["validationActions"] == ["Deny"]
    assert {
        function for function in NAMES for verbs in used_by(function).values() if verbs & WRITES
    } == {"reconcile"}


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


def test_of_secrets_only_ours_is_read() -> None:
    rules = [
        rule
        for each in documents(BASE / "access.yaml")
        for rule in each.get("rules", [])
        if "secrets" in rule["resources"]
    ]
    assert [(rule["verbs"], rule.get("resourceNames")) for rule in rules] == [
        (["get", "list", "update"], [isolation.PULL_SECRET]),
        (["create"], None),
    ]


def test_no_right_is_bound_to_all_and_no_account_is_unknown() -> None:
    objects = documents(BASE / "access.yaml")
    accounts = {each["metadata"]["name"] for each in objects if each["kind"] == "ServiceAccount"}
    assert accounts == {*NAMES, *OTHERS}
    for account, expected in OTHERS.items():
        assert rights(account) == expected
    for each in objects:
        for subject in each.get("subjects", []):
            assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", "mc-system")
            assert subject["name"] in accounts
        for rule in each.get("rules", []):
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]


def test_logs_are_read_in_the_organisations_namespace_alone() -> None:
    names = {
        each["roleRef"]["name"] for each in documents(BASE / "access.yaml") if "roleRef" in each
    }
    assert "mc-logs" not in names
    [binding] = documents(LOCAL / "logs.yaml")
    namespace = binding["metadata"]["namespace"]
    [elsewhere] = [
        each for each in isolation.objects(UUID(int=0), namespace) if each["kind"] == "RoleBinding"
    ]
    del elsewhere["metadata"]["labels"]
    assert binding == elsewhere
    [kustomization] = documents(LOCAL / "kustomization.yaml")
    literals = kustomization["configMapGenerator"][0]["literals"]
    assert f"KNATIVE_NAMESPACE={namespace}" in literals


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


def test_a_mail_may_take_long_and_ends_before_its_event_comes_again() -> None:
    [delivery] = [
        trigger["spec"]["delivery"]
        for trigger in triggers()
        if trigger["metadata"]["name"] == "mailer"
    ]
    found = re.fullmatch(r"PT(\d+)S", delivery["timeout"])
    assert found
    assert mail.SECONDS < mails.SECONDS < int(found[1])
    [manifest] = documents(BASE / "functions" / "mailer.yaml")
    assert manifest["spec"]["template"]["spec"]["timeoutSeconds"] == int(found[1])


def test_an_account_without_rights_gets_no_token() -> None:
    for each in documents(BASE / "access.yaml"):
        if each["kind"] == "ServiceAccount":
            has_token = each.get("automountServiceAccountToken", True)
            assert has_token == bool(rights(each["metadata"]["name"]))


# The private registry: distribution.yaml, the function `registry`, registry.py


def test_the_registry_believes_and_tells_our_function() -> None:
    found = {each["kind"]: each for each in documents(BASE / "distribution.yaml")}
    config = yaml.safe_load(found["ConfigMap"]["data"]["config.yml"])
    assert config["auth"]["token"]["issuer"] == registry.ISSUER
    assert config["auth"]["token"]["signingalgorithms"] == ["ES256"]
    [container] = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    [endpoint] = yaml.safe_load(env["REGISTRY_NOTIFICATIONS_ENDPOINTS"])
    host = "http://registry.mc-system.svc.cluster.local"
    assert [f"{host}{hook.path}" for hook in APIS["registry"].hooks] == [endpoint["url"]]
    token = env["REGISTRY_AUTH_TOKEN_REALM"].partition(")")[2]
    assert token in {route.path for route in APIS["registry"].routes}
    # A Service named `registry` would set variables that are Distribution's own.
    assert found["Deployment"]["spec"]["template"]["spec"]["enableServiceLinks"] is False
    paths = {p["path"]: p for p in found["Ingress"]["spec"]["rules"][0]["http"]["paths"]}
    assert set(paths) == {token, "/healthz", "/v2/"}
    # Knative makes an Ingress and a Service of each function's name.
    assert not {each["metadata"]["name"] for each in found.values()} & set(NAMES)
    [split] = paths["/v2/"]["splits"]
    assert split["serviceName"] == found["Service"]["metadata"]["name"]


def test_what_is_posted_inside_is_not_reached_from_outside() -> None:
    for api in APIS.values():
        for hook in api.hooks:
            assert not any(hook.path.startswith(prefix) for prefix in PUBLIC)
            assert hook.template not in openapi.document()["paths"]


# The private registry: deploy/, tests/cluster/go


def test_distribution_is_the_same_wherever_it_is_built_and_run() -> None:
    pins = [
        re.search(r"github.com/distribution/distribution/v3 v(\S+)", path.read_text("utf-8"))
        for path in (ROOT / "tests" / "cluster" / "go").glob("*/go.mod")
    ]
    [kustomization] = documents(LOCAL / "kustomization.yaml")
    tags = {each["name"]: each["newTag"] for each in kustomization["images"]}
    assert {pin[1] for pin in pins if pin} == {tags["docker.io/library/registry"]}

"""Rights are one truth: what the code calls, deploy/base/access.yaml and bounds.yaml."""

from uuid import UUID

import pytest

from maxcloud import system
from maxcloud.knative import isolation
from tests.manifests import BASE, LOCAL, documents
from tests.rights import NAMES, OTHERS, used_by


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
    assert "paramKind" not in policy["spec"]
    [of_developer] = [e for e in policy["spec"]["variables"] if e["name"] == "ofDeveloper"]
    assert of_developer["expression"] == "false"
    assert {
        function for function in NAMES for verbs in used_by(function).values() if verbs & WRITES
    } == {"reconcile"}


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
    [own] = [
        each
        for each in documents(BASE / "access.yaml")
        if each.get("roleRef", {}).get("name") == "mc-logs"
    ]
    [binding] = documents(LOCAL / "logs.yaml")
    namespace = binding["metadata"]["namespace"]
    for found, home in ((own, system.NAMESPACE), (binding, namespace)):
        [elsewhere] = [
            each for each in isolation.objects(UUID(int=0), home) if each["kind"] == "RoleBinding"
        ]
        del elsewhere["metadata"]["labels"]
        assert found == elsewhere
    [kustomization] = documents(LOCAL / "kustomization.yaml")
    literals = kustomization["configMapGenerator"][0]["literals"]
    assert f"KNATIVE_NAMESPACE={namespace}" in literals


def test_an_account_without_rights_gets_no_token() -> None:
    for each in documents(BASE / "access.yaml"):
        if each["kind"] == "ServiceAccount":
            has_token = each.get("automountServiceAccountToken", True)
            assert has_token == bool(rights(each["metadata"]["name"]))

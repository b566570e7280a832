"""docs/access.md lists every right, port and secret that manifests and code have, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from maxcloud.knative import isolation
from maxcloud_cli.platform import secrets as installed
from maxcloud_hetzner import addons, plan
from maxcloud_hetzner import secrets as brought
from tests.manifests import BASE, DEPLOY, ROOT, documents

PAGE = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
TENANT = "mc-org-*"
OF_A_TENANT = isolation.objects(UUID(int=0), TENANT)

Object = dict[str, Any]


def table(*header: str) -> list[list[str]]:
    """The cells of each line of the table that has these columns first."""
    [rest] = re.findall(
        rf"^\| {re.escape(' | '.join(header))}.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE
    )
    return [line.strip("| ").split(" | ") for line in rest.splitlines()[1:]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def everywhere() -> Iterator[Object]:
    """Every object of deploy/ but those of one machine's overlays."""
    for path in sorted(DEPLOY.rglob("*.yaml")):
        if not {"local", "laptop"} & set(path.relative_to(DEPLOY).parts):
            yield from (each for each in documents(path) if "kind" in each)


# Rights


def test_each_account_has_its_role() -> None:
    objects = documents(BASE / "access.yaml")
    bound = {each["metadata"]["name"]: "" for each in objects if each["kind"] == "ServiceAccount"}
    bindings = [*objects, *OF_A_TENANT]
    for each in bindings:
        for subject in each.get("subjects", []):
            bound[subject["name"]] = each["roleRef"]["name"]
    listed = {
        account: "".join(quoted(role)[:1])
        for accounts, role, *_ in table("Account", "Role")
        for account in quoted(accounts)
    }
    assert listed == bound


def test_each_rule_of_a_role_is_there() -> None:
    rules = [
        (each["metadata"]["name"], rule)
        for each in documents(BASE / "access.yaml")
        if each["kind"] == "ClusterRole"
        for rule in each["rules"]
    ]
    wanted = [
        (role, rule["verbs"], [*_resources(rule), *rule.get("resourceNames", [])])
        for role, rule in rules
    ]
    listed = [
        (*quoted(role), verbs.split(", "), quoted(objects))
        for role, verbs, objects, _ in table("Role", "Verbs")
    ]
    assert listed == wanted


def _resources(rule: Object) -> list[str]:
    [group] = rule["apiGroups"]
    return [f"{resource}.{group}".rstrip(".") for resource in rule["resources"]]


def test_each_role_of_the_database_is_there() -> None:
    sql = ROOT / "shared" / "maxcloud" / "store" / "migrations" / "003_tenancy.sql"
    [made] = re.findall(r"array\['(.*)'\]", sql.read_text(encoding="utf-8"))
    listed = [name for who, *_ in table("Who", "May") for name in quoted(who) if "_" in name]
    assert listed == made.split("', '")


def test_each_permission_at_github_is_there() -> None:
    wanted = set()
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        ours = workflow["permissions"].items()
        wanted |= {("every job", f"{what}: {how}") for what, how in ours}
        for name, job in workflow["jobs"].items():
            more = job.get("permissions", {}).items() - ours
            wanted |= {(name, f"{what}: {how}") for what, how in more}
            secrets = set(re.findall(r"secrets\.(\w+)", yaml.safe_dump(job))) - {"GITHUB_TOKEN"}
            assert not secrets or name == "deploy"
    listed = {
        ("".join(quoted(job)) or job, permission)
        for job, may, _ in table("Job", "May")
        for permission in quoted(may)
    }
    assert listed == wanted


# Ports


def test_the_firewall_opens_what_is_listed() -> None:
    wanted = {(rule.port or rule.protocol.upper()) for rule in plan.rules(("192.0.2.1/32",))}
    listed = {port for port, at, *_ in table("Port", "At") if at == "the machines"}
    assert listed == wanted


def policies() -> Iterator[Object]:
    for each in [*everywhere(), *OF_A_TENANT]:
        if each["kind"] == "NetworkPolicy":
            yield each


def peers(rule: Object, end: str, namespace: str) -> Iterator[str]:
    """Who stands at the other end of a rule, in the page's words."""
    if end not in rule:
        yield "anybody" if end == "from" else "anywhere"
    for peer in rule.get(end, []):
        if "ipBlock" in peer:
            yield "public addresses" if "except" in peer["ipBlock"] else "anywhere"
            continue
        places = _named(peer["namespaceSelector"]) if "namespaceSelector" in peer else [namespace]
        pods = _named(peer.get("podSelector", {}))
        yield from (f"{place}/{pod}" for place in places for pod in pods)
        if not pods:
            yield from places


GROUPS = {"serving.knative.dev/service": "functions", "maxcloud.dev/job": "jobs"}


def _named(selector: Object) -> list[str]:
    found = list(selector.get("matchLabels", {}).values())
    for each in selector.get("matchExpressions", []):
        found += each["values"] if each["operator"] == "In" else [GROUPS[each["key"]]]
    return found


Rule = tuple[str, frozenset[str], frozenset[str]]


def rules(direction: str, end: str) -> set[Rule]:
    found = set()
    for policy in policies():
        namespace = policy["metadata"]["namespace"]
        for rule in policy["spec"].get(direction, []):
            ports = {str(each["port"]) for each in rule.get("ports", [])} or {"all"}
            name = f"{namespace}/{policy['metadata']['name']}"
            found.add((name, frozenset(peers(rule, end, namespace)), frozenset(ports)))
    return found


@pytest.mark.parametrize(
    ("direction", "end", "column"),
    [("ingress", "from", "Who comes in"), ("egress", "to", "Where it goes out")],
)
def test_each_rule_of_a_network_policy_is_there(direction: str, end: str, column: str) -> None:
    listed = [
        (quoted(policy)[0], frozenset(quoted(who) or [who]), frozenset(ports.split(", ")))
        for policy, who, ports, _ in table("Policy", column)
    ]
    assert len(listed) == len(set(listed))
    assert set(listed) == rules(direction, end)


# Secrets

# What an operator of somebody else's makes for itself, and no file of ours names.
OF_OTHERS = {"mc-database/database-…"}


def listed_secrets() -> dict[str, set[str]]:
    return {quoted(secret)[0]: set(quoted(keys)) for secret, keys, *_ in table("Secret", "Keys")}


def made() -> dict[str, set[str]]:
    """The Secrets that our own commands and functions make, and their keys."""
    env = dict.fromkeys(
        ("HETZNER_API_TOKEN", "HETZNER_S3_ACCESS_KEY", "HETZNER_S3_SECRET_KEY"), "x"
    )
    objects = brought.objects(env, lambda *_: None, "nbg1", "bucket")
    objects += [each for each in addons.objects("a", "b", 1) if each["kind"] == "Secret"]
    found = {
        f"{each['metadata']['namespace']}/{each['metadata']['name']}": set(
            each.get("data") or each["stringData"]
        )
        for each in objects
    }
    for name, make in installed.MADE_ONCE.items():
        # Whoever makes it, the functions find the same.
        assert found.setdefault(f"mc-system/{name}", set(make())) == set(make())
    mail = installed.said({"RESEND_API_KEY": "x", "SMTP_URL": "x"})
    found |= {f"mc-system/{name}": set(data) for name, data in mail.items()}
    return found


def referred() -> Iterator[tuple[str, set[str]]]:
    """The Secrets that manifests name, with the key that they want where they name one."""
    for each in everywhere():
        spec = each.get("spec", {})
        namespace = each["metadata"].get("namespace") if "metadata" in each else None
        named: Any = spec
        if each["kind"] == "HelmChart":
            namespace, named = spec["targetNamespace"], yaml.safe_load(spec["valuesContent"])
        if each["kind"] == "ClusterIssuer":
            namespace = "cert-manager"
        for name, key in _references(named):
            yield f"{namespace}/{name}", {key} if key else set()


def _references(value: Any, under: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for each in value:
            yield from _references(each, under)
    elif isinstance(value, dict):
        wants_key = "key" in value and not under.startswith("configMap")
        if "name" in value and (wants_key or "secret" in under.lower()):
            yield value["name"], value.get("key", "")
        for name, each in value.items():
            yield from _references(each, name)
    elif under == "secretName":
        yield value, ""


def is_said(keys: Iterable[str], listed: Iterable[str]) -> bool:
    """Whether all keys are listed; some are listed by how they begin."""
    beginnings = tuple(each.removesuffix("…") for each in listed if each.endswith("…"))
    return all(key in listed or (beginnings and key.startswith(beginnings)) for key in keys)


def test_each_secret_is_there_with_its_keys() -> None:
    listed = listed_secrets()
    wanted = [*made().items(), *referred()]
    for place, keys in wanted:
        assert place in listed, place
        assert is_said(keys, listed[place]), (place, keys)
    pull = {f"{TENANT}/{isolation.PULL_SECRET}"}
    assert listed.keys() == {place for place, _ in wanted} | pull | OF_OTHERS
    for place, keys in made().items():
        assert {key for key in listed[place] if not key.endswith("…")} <= keys


def test_every_file_that_it_names_is_there() -> None:
    for link in re.findall(r"\]\(([^):#]+)[^):]*\)", PAGE):
        assert Path(ROOT / "docs" / link).exists(), link

"""Events are one truth: events.py, functions/*.py, and eventing/ with its triggers and README."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from maxcloud import events, mail
from maxcloud.hints import ServiceHint
from maxcloud.http import Api
from maxcloud.store import mails
from tests.manifests import APIS, BASE, EVENTING, documents, resources
from tests.rights import NAMES, code_of


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

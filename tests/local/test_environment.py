"""A container's variables, and what is put into them."""

import base64
import json
from typing import Any

import pytest

from maxcloud_local.instances.environment import environment, expanded, pull_auths
from maxcloud_local.instances.running import CannotStart
from maxcloud_local.kinds import CONFIG_MAP, SECRET, Kind

OBJECTS: dict[tuple[Kind, str], Any] = {
    (SECRET, "database"): {"data": {"url": base64.b64encode("pässword\n".encode()).decode()}},
    (SECRET, "bytes"): {"data": {"raw": base64.b64encode(b"\xff").decode()}},
    (SECRET, "empty"): {},
    (CONFIG_MAP, "platform"): {"data": {"A": "1", "B": "2"}},
}


def find(kind: Kind, name: str) -> Any:
    return OBJECTS.get((kind, name))


def secret(name: str, key: str, **more: object) -> dict[str, Any]:
    return {"valueFrom": {"secretKeyRef": {"name": name, "key": key, **more}}}


def from_map(name: str, key: str, **more: object) -> dict[str, Any]:
    return {"valueFrom": {"configMapKeyRef": {"name": name, "key": key, **more}}}


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, {}),
        ({"env": None, "envFrom": None}, {}),
        ({"env": [{"name": "X", "value": "a=b\nc"}, {"name": "Y"}]}, {"X": "a=b\nc", "Y": ""}),
        ({"env": [{"name": "X", **secret("database", "url")}]}, {"X": "pässword\n"}),
        ({"env": [{"name": "X", **secret("bytes", "raw")}]}, {"X": "\udcff"}),
        ({"env": [{"name": "X", **from_map("platform", "A")}]}, {"X": "1"}),
        ({"env": [{"name": "X", **from_map("platform", "C", optional=True)}]}, {}),
        ({"env": [{"name": "X", **secret("gone", "C", optional=True)}]}, {}),
        ({"env": [{"name": "X", **secret("empty", "C", optional=True)}]}, {}),
        ({"envFrom": [{"configMapRef": {"name": "platform"}}]}, {"A": "1", "B": "2"}),
        ({"envFrom": [{"secretRef": {"name": "gone", "optional": True}}]}, {}),
        (
            {"envFrom": [{"prefix": "P_", "configMapRef": {"name": "platform"}}]},
            {"P_A": "1", "P_B": "2"},
        ),
        (
            {
                "envFrom": [{"configMapRef": {"name": "platform"}}],
                "env": [{"name": "B", "value": "own"}, {"name": "C", "value": "$(B)$(A)$(D)"}],
            },
            {"A": "1", "B": "own", "C": "own1$(D)"},
        ),
    ],
)
def test_variables(container: dict[str, Any], expected: dict[str, str]) -> None:
    assert environment(container, find) == expected


@pytest.mark.parametrize(
    ("container", "sentence"),
    [
        ({"env": [{"name": "X", **secret("gone", "k")}]}, 'secret "gone" not found'),
        (
            {"env": [{"name": "X", **secret("database", "k")}]},
            "couldn't find key k in Secret database",
        ),
        ({"env": [{"name": "X", **from_map("gone", "k")}]}, 'configmap "gone" not found'),
        ({"envFrom": [{"secretRef": {"name": "gone"}}]}, 'secret "gone" not found'),
        ({"env": [{"name": "X", "valueFrom": {"fieldRef": {}}}]}, "names nothing known here"),
        ({"envFrom": [{}]}, "names nothing known here"),
    ],
)
def test_what_is_missing(container: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CannotStart, match=sentence) as raised:
        environment(container, find)
    assert raised.value.failure.reason == "CreateContainerConfigError"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("$(A)-$(B)", "1-2"),
        ("$(NONE) $A ${A} $", "$(NONE) $A ${A} $"),
        ("$$(A) $$$(A)", "$(A) $1"),
        ("$(A", "$(A"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expanded(text, {"A": "1", "B": "2"}) == expected


def docker_config(content: object) -> dict[str, Any]:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {"data": {".dockerconfigjson": base64.b64encode(text).decode()}}


def test_an_image_is_pulled_with_what_its_secrets_say() -> None:
    secrets = {
        "one": docker_config({"auths": {"a.test": {"auth": "x"}}}),
        "two": docker_config({"auths": {"b.test:5000": {"auth": "y"}}}),
        "no json": docker_config(b"{"),
        "no auths": docker_config({}),
        "no object": docker_config({"auths": 5}),
        "of another type": {"data": {"key": ""}},
    }
    spec = {"imagePullSecrets": [{"name": name} for name in (*secrets, "gone")]}
    found = pull_auths(spec, lambda kind, name: secrets.get(name) if kind is SECRET else None)
    assert found == {"a.test": {"auth": "x"}, "b.test:5000": {"auth": "y"}}
    assert pull_auths({}, lambda kind, name: None) == {}

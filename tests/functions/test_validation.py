"""Every rule for the fields of a service, over HTTP: what is refused names its field."""

import json
from typing import Any

import httpx
import pytest

from maxcloud.names import RESERVED_NAMES
from tests.functions.support import SERVICES, SHOP, assert_refusal

NAMES_BAD: list[str] = [
    *("", "x" * 41, "a--b", "-a", "a-", "1a", "A", "Shop", "shöp", "a_b", "a.b", "a b", "shop\n"),
    *("shop\x00", "\u0430bc", "/", "..", "%", "a" * 32, "deadbeef" * 4),
    "abcdef01-2345-4789-8abc-def012345678",
    *sorted(RESERVED_NAMES),
]
IMAGES_BAD = [
    *("", " ", "nginx ", "nginx:", "Nginx", "nginx:1.29\n", "nginx@", "nginx@sha256:abc", "-nginx"),
    *("https://docker.io/nginx", "nginx:ta/g", "a//b", "/nginx", "nginx/", "nginx:" + "t" * 129),
    *("nginx@md5:" + "0" * 32, "nginx@sha256:" + "G" * 64, "a" * 513, "ngi\x00nx", "é", "a..b"),
    *("host:port/x", "host:123456/x", "nginx:.tag", "user@host/x", "a___b", "[::1]/x"),
    *("Team/app", "LOCALHOST/app", "Host.example/Team/app"),
]
RESERVED_PORTS = [8008, 8012, 8013, 8022, 8112, 9090, 9091]
WRONG_TYPES: list[Any] = [None, True, "1", 1.5, [], {}]

OF_A_LIST: list[Any] = [None, 5, ["x"], "a\x00b", "x" * 32769]
OF_A_DICT: list[Any] = [None, 1, True, [], "a\x00b"]


def each(field: str, *values: Any, path: str | None = None) -> list[tuple[str, Any, str]]:
    """Rows of the table below: values of one field, and the path that the refusal names."""
    return [(field, value, path or field) for value in values]


BAD: list[tuple[str, Any, str]] = [
    *each("name", *NAMES_BAD),
    *each("image", *IMAGES_BAD),
    *each("name", None, 5, True, [], {}),
    *each("image", None, 5, True, [], {}),
    *each("port", -1, 65536, 10**40, *RESERVED_PORTS),
    *each("command", None, "/bin/sh", {}, 5, ["x"] * 257),
    *each("args", None, "-c", {}, 5, ["<" * 32 * 1024] * 3, ["é" * 16 * 1024] * 2 + ["x"]),
    *each("command", *([value] for value in OF_A_LIST), path="command.0"),
    ("args", ["fine", True], "args.1"),
    *each("env_vars", None, [], "A=1", 5),
    *(
        ("env_vars", {key: "1"}, f"env_vars.{key}")
        for key in ("1A", "A-B", "A B", "A=B", "Ä", "A\n", "PORT", "K_SINK", "K_")
    ),
    ("env_vars", {"": "1"}, "env_vars."),
    ("env_vars", {"x" * 257: "1"}, "env_vars." + "x" * 91),
    *each("env_vars", *({"A": value} for value in OF_A_DICT), path="env_vars.A"),
    ("env_vars", {f"A{n}": "" for n in range(101)}, "env_vars"),
    ("env_vars", {"A": "x" * 16384, "B": "x" * 16385}, "env_vars"),
    ("env_vars", {"A": "é" * 16385}, "env_vars"),
    *each("min_scale", -1, 1001, 11),
    *each("max_scale", -1, 0, 1001),
    *each("concurrency", -1, 1001),
    *each("timeout_seconds", -1, 0, 601),
    *(
        (field, value, field)
        for field in ("port", "min_scale", "max_scale", "concurrency", "timeout_seconds")
        for value in WRONG_TYPES
    ),
    *each("cpu", "", "0", "9m", "65", "64001m", "-1", "1 ", "1\n", "1e3"),
    *each("cpu", "1.2345", "0.5m", "one", "NaN", "Infinity", "\u0661", 1, None),
    *each("memory", "", "0", "15Mi", "257Gi", "512", "1.5Gi", "1Ti"),
    *each("memory", "512MI", "512Mi ", "512Mi\n", "-1Gi", 512, None),
    *((field, 1, field) for field in ("colour", "id", "org_id", "status", "Name", "generation")),
]

GOOD: list[dict[str, Any]] = [
    *({"name": name} for name in ("a", "x" * 40, "a-b-1", "a1", "k8s", "api-2", "deadbeef")),
    *({"image": image} for image in ("nginx", "a/b/c", "docker.io/library/nginx:latest")),
    {"image": "registry.example.com:5000/team/app:v2"},
    {"image": "LOCALHOST:5000/a__b/c.d-e"},
    {"image": f"ghcr.io/a/b:tag@sha256:{'0' * 64}"},
    {"image": "nginx:" + "t" * 128},
    *({"port": port} for port in (0, 1, 80, 8080, 9092, 65535)),
    {"command": ["x"] * 256, "args": [""]},
    {"command": ["é" * 16 * 1024] * 2, "args": ["<" * 32 * 1024] * 2},
    {"env_vars": {f"A{n}": "" for n in range(100)}},
    {"env_vars": {"A": "x" * 32768}},
    {"env_vars": {"_a1": "ü", "port": "1", "k_x": "1", "PORTS": "1"}},
    {"min_scale": 0, "max_scale": 1},
    {"min_scale": 1000, "max_scale": 1000},
    *({"concurrency": value} for value in (0, 1, 1000)),
    *({"timeout_seconds": value} for value in (1, 600)),
    *({"cpu": value} for value in ("10m", "0.01", "64", "64000m", "1.125")),
    *({"memory": value} for value in ("16Mi", "256Gi", "16777216", "17M", "20000k", "16384Ki")),
]


@pytest.mark.parametrize(("sent", "value", "field"), BAD)
def test_a_value_that_breaks_a_rule_is_refused_by_field(
    shared: httpx.Client, sent: str, value: Any, field: str
) -> None:
    body = json.dumps(SHOP | {sent: value})
    headers = {"Content-Type": "application/json"}
    said = assert_refusal(
        shared.post(SERVICES, content=body, headers=headers), "invalid_field", field
    )
    assert said.startswith(field.partition(".")[0])
    assert "Input" not in said


@pytest.mark.parametrize("missing", ["name", "image"])
def test_a_field_that_is_required_is_missed(shared: httpx.Client, missing: str) -> None:
    body = {key: value for key, value in SHOP.items() if key != missing}
    said = assert_refusal(shared.post(SERVICES, json=body), "invalid_field", missing)
    assert said == f"{missing} is required"


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"name": "other"}, "name"),
        ({"image": None}, "image"),
        ({"image": ""}, "image"),
        ({"port": 8012}, "port"),
        ({"port": True}, "port"),
        ({"colour": None}, "colour"),
        ({"env_vars": {"PORT": None}}, "env_vars.PORT"),
        ({"env_vars": {"A": 1}}, "env_vars.A"),
        ({"command": "x"}, "command"),
        ({"max_scale": 0}, "max_scale"),
        ({"traffic": []}, "traffic"),
    ],
)
def test_a_patch_is_held_to_the_same_rules(
    shared: httpx.Client, patch: dict[str, Any], field: str
) -> None:
    assert_refusal(shared.patch(f"{SERVICES}/none", json=patch), "invalid_field", field)


def test_a_patch_that_only_as_a_whole_breaks_a_rule_says_the_same(http: httpx.Client) -> None:
    http.post(SERVICES, json=SHOP | {"env_vars": {f"A{n}": "" for n in range(100)}})
    for patch, field in (({"min_scale": 11}, "min_scale"), ({"env_vars": {"B": ""}}, "env_vars")):
        answer = http.patch(f"{SERVICES}/shop", json=patch)
        assert assert_refusal(answer, "invalid_field", field).startswith(field)
    assert http.get(f"{SERVICES}/shop").json()["generation"] == 1


def test_every_value_within_the_rules_is_taken(http: httpx.Client) -> None:
    for number, settings in enumerate(GOOD):
        body = {"name": f"s{number}", "image": "nginx"} | settings
        answer = http.post(SERVICES, json=body)
        assert answer.status_code == 201, answer.text
        assert {key: answer.json()[key] for key in body} == body

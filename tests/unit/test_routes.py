"""The public routes are one truth: functions/*.py, deploy/base/route.yaml and openapi.json."""

from typing import Any

import pytest

from maxcloud import openapi
from tests.conftest import ACCEPTED, PUBLIC, STREAMS, function_of
from tests.manifests import APIS, BASE, documents
from tests.rights import NAMES


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


def test_what_is_posted_inside_is_not_reached_from_outside() -> None:
    for api in APIS.values():
        for hook in api.hooks:
            assert not any(hook.path.startswith(prefix) for prefix in PUBLIC)
            assert hook.template not in openapi.document()["paths"]

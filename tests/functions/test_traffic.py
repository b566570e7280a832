"""PUT /api/v1/services/{id}/traffic."""

from typing import Any

import httpx
import pytest

from maxcloud.client import Client
from maxcloud.config import DEV_ORG_ID
from maxcloud.errors import InvalidField, NotFound
from maxcloud.traffic import TrafficShare
from tests.conftest import TestDatabase
from tests.functions.support import SERVICES, SHOP, assert_refusal
from tests.store.support import execute

TRAFFIC = f"{SERVICES}/shop/traffic"


@pytest.fixture
def shop(http: httpx.Client, database: TestDatabase) -> dict[str, Any]:
    """A service with two revisions, the second of them ready."""
    made: dict[str, Any] = http.post(SERVICES, json=SHOP).json()
    for generation in (1, 2):
        execute(
            database.owner,
            "insert into revisions (org_id, service_id, generation, name, image, digest, template)"
            " values (%s, %s, %s, %s, 'nginx', 'sha256:0', '{}')",
            *(DEV_ORG_ID, made["id"], generation, f"shop-{generation:05}"),
        )
    execute(database.owner, "update services set ready_revision = 'shop-00002'")
    return made


def test_traffic_is_a_write_of_its_own(http: httpx.Client, shop: dict[str, Any]) -> None:
    split = [
        {"revision": "shop-00001", "percent": 80},
        {"revision": "latest", "percent": 20, "tag": "next"},
    ]
    answer = http.put(TRAFFIC, json=split)
    assert answer.status_code == 200
    changed = answer.json()
    assert (changed["generation"], changed["status"]) == (2, "pending")
    assert changed["traffic"] == [
        {"revision": "shop-00001", "percent": 80, "tag": None, "url": None},
        {
            "revision": "latest",
            "percent": 20,
            "tag": "next",
            "url": "http://shop--next.localhost:8080",
        },
    ]
    listed = http.get(f"{SERVICES}/shop/revisions").json()
    assert [(each["name"], each["traffic"]) for each in listed] == [
        ("shop-00002", 20),
        ("shop-00001", 80),
    ]
    assert http.put(TRAFFIC, json=split).json() == changed


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "percent"),
        ([{"revision": "latest", "percent": 50}], "percent"),
        ([{"revision": "shop-00009", "percent": 100}], "revision"),
        ([{"revision": "latest", "percent": 100, "tag": "No"}], "0.tag"),
        ([{"revision": "latest", "percent": -1}], "0.percent"),
        ([{"revision": "latest", "percent": 100, "colour": "blue"}], "0.colour"),
        ([{"revision": "a\x00", "percent": 100}], "0.revision"),
        (["latest"], "0"),
    ],
)
def test_traffic_that_breaks_a_rule_changes_nothing(
    http: httpx.Client, shop: dict[str, Any], body: object, field: str
) -> None:
    before = http.get(f"{SERVICES}/shop").json()
    assert_refusal(http.put(TRAFFIC, json=body), "invalid_field", field)
    assert http.get(f"{SERVICES}/shop").json() == before


@pytest.mark.parametrize("body", ["{}", "null", "1", '"latest"'])
def test_traffic_is_a_list(http: httpx.Client, shop: dict[str, Any], body: str) -> None:
    answer = http.put(TRAFFIC, content=body, headers={"Content-Type": "application/json"})
    assert assert_refusal(answer, "malformed") == "the body must be a JSON list"


def test_the_client_sets_traffic(api: str, shop: dict[str, Any]) -> None:
    with Client(api) as client:
        shares = [TrafficShare(revision="shop-00001", percent=100)]
        changed = client.set_traffic("shop", shares)
        assert [(each.revision, each.percent) for each in changed.traffic] == [("shop-00001", 100)]
        with pytest.raises(InvalidField):
            client.set_traffic("shop", [TrafficShare(revision="nobody", percent=100)])
        with pytest.raises(NotFound):
            client.set_traffic("nobody", shares)

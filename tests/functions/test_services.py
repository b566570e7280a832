"""The function `services`: what a tenant deploys, over HTTP."""

from datetime import datetime
from typing import Any

import httpx
import pytest

from maxcloud.client import Client
from maxcloud.config import DEV_ORG_ID
from maxcloud.models import DeployRequest, ServiceStatus, UpdateRequest
from tests.conftest import TestDatabase
from tests.functions.support import SERVICES, SHOP, assert_refusal, is_uuid
from tests.store.support import add_organisation, execute

DEFAULTS: dict[str, Any] = {
    "port": 0,
    "command": [],
    "args": [],
    "env_vars": {},
    "min_scale": 0,
    "max_scale": 10,
    "concurrency": 80,
    "cpu": "1",
    "memory": "512Mi",
    "timeout_seconds": 300,
}
FULL: dict[str, Any] = {
    "port": 3000,
    "command": ["/bin/sh", "-c"],
    "args": ["exec serve", ""],
    "env_vars": {"GREETING": "grüß dich\n", "_": "", "path": "a=b"},
    "min_scale": 1,
    "max_scale": 5,
    "concurrency": 0,
    "cpu": "0.5",
    "memory": "1Gi",
    "timeout_seconds": 600,
}


@pytest.mark.parametrize("settings", [{}, FULL], ids=["defaults", "everything"])
def test_deploying_answers_with_the_whole_service(
    http: httpx.Client, settings: dict[str, Any]
) -> None:
    made = http.post(SERVICES, json=SHOP | settings)
    assert made.status_code == 201
    assert made.headers["content-type"] == "application/json"
    body = made.json()
    assert is_uuid(body.pop("id"))
    for key in ("created_at", "updated_at"):
        assert datetime.fromisoformat(body[key]).utcoffset() is not None
        assert body.pop(key).endswith("Z")
    assert body == {
        **SHOP,
        **DEFAULTS,
        **settings,
        "org_id": str(DEV_ORG_ID),
        "status": "pending",
        "reason": "Accepted",
        "message": "",
        "url": "http://shop.localhost:8080",
        "generation": 1,
        "observed_generation": 0,
        "latest_revision": None,
        "ready_revision": None,
        "traffic": [{"revision": "latest", "percent": 100, "tag": None, "url": None}],
    }
    for path in ("shop", made.json()["id"]):
        assert http.get(f"{SERVICES}/{path}").json() == made.json()
    assert http.get(SERVICES).json() == [made.json()]


def test_a_patch_is_merged(http: httpx.Client) -> None:
    made = http.post(SERVICES, json=SHOP | FULL).json()
    patch = {"port": None, "env_vars": {"_": None, "NEW": "1"}, "args": ["x"]}
    media = {"Content-Type": "application/merge-patch+json"}
    answer = http.patch(f"{SERVICES}/shop", json=patch, headers=media)
    assert answer.status_code == 200
    changed = answer.json()
    assert changed.pop("updated_at") > made.pop("updated_at")
    env_vars = {"GREETING": "grüß dich\n", "path": "a=b", "NEW": "1"}
    assert changed == made | {"port": 0, "env_vars": env_vars, "args": ["x"], "generation": 2}


def test_a_patch_without_a_change_makes_no_generation(http: httpx.Client) -> None:
    made = http.post(SERVICES, json=SHOP).json()
    assert http.patch(f"{SERVICES}/shop", json={"port": 0}).json() == made
    assert http.patch(f"{SERVICES}/shop", json={}).json() == made


def test_a_deleted_service_is_deleting_until_it_is_gone(http: httpx.Client) -> None:
    made = http.post(SERVICES, json=SHOP).json()
    for _ in range(2):
        gone = http.delete(f"{SERVICES}/shop")
        assert (gone.status_code, gone.content) == (204, b"")
    shown = http.get(f"{SERVICES}/{made['id']}").json()
    assert (shown["status"], shown["generation"]) == ("deleting", 2)
    assert_refusal(http.patch(f"{SERVICES}/shop", json={"port": 80}), "service_deleting")
    assert_refusal(http.post(SERVICES, json=SHOP), "service_deleting", "name")


def test_a_name_can_be_taken_once(http: httpx.Client) -> None:
    http.post(SERVICES, json=SHOP)
    assert_refusal(http.post(SERVICES, json=SHOP), "name_taken", "name")


def test_another_organisations_service_is_not_found(
    http: httpx.Client, database: TestDatabase
) -> None:
    other = add_organisation(database.owner)
    insert = "insert into services (org_id, name, image) values (%s, 'blog', 'secret') returning id"
    [(service_id,)] = execute(database.owner, insert, other)
    for known_as in ("blog", service_id):
        path = f"{SERVICES}/{known_as}"
        for answer in (
            http.get(path),
            http.patch(path, json={"port": 80}),
            http.delete(path),
            http.get(f"{path}/revisions"),
        ):
            assert assert_refusal(answer, "not_found") == "no such service"
    assert http.get(SERVICES).json() == []
    assert execute(database.owner, "select status, generation from services") == [("pending", 1)]


def test_another_organisations_name_is_taken_and_nothing_more_is_said(
    http: httpx.Client, database: TestDatabase
) -> None:
    insert = "insert into services (org_id, name, image) values (%s, 'shop', 'secret')"
    execute(database.owner, insert, add_organisation(database.owner))
    said = assert_refusal(http.post(SERVICES, json=SHOP), "name_taken", "name")
    assert said == "a service of this name exists already"


def test_revisions_are_listed_newest_first(http: httpx.Client, database: TestDatabase) -> None:
    service = http.post(SERVICES, json=SHOP).json()
    assert http.get(f"{SERVICES}/shop/revisions").json() == []
    for generation in (1, 2):
        execute(
            database.owner,
            "insert into revisions (org_id, service_id, generation, name, image, digest, template)"
            " values (%s, %s, %s, %s, 'nginx', 'sha256:0', '{}')",
            *(DEV_ORG_ID, service["id"], generation, f"shop-{generation:05}"),
        )
    execute(database.owner, "update services set ready_revision = 'shop-00001'")
    listed = http.get(f"{SERVICES}/shop/revisions").json()
    assert [(each["name"], each["traffic"]) for each in listed] == [
        ("shop-00002", 0),
        ("shop-00001", 100),
    ]
    assert set(listed[0]) == {
        *("id", "service_id", "name", "image", "digest", "traffic", "created_at", "created_by"),
        "ready_at",
    }


def test_the_client_library_understands_every_answer(api: str) -> None:
    with Client(api) as client:
        made = client.deploy(DeployRequest(name="shop", image="nginx:1.29", port=80))
        assert made.status is ServiceStatus.PENDING
        assert client.update("shop", UpdateRequest(port=None)).port == 0
        assert [each.name for each in client.list_services()] == ["shop"]
        assert client.revisions("shop") == []
        assert client.ready().status == "ok"
        client.delete_service("shop")
        assert client.get_service(str(made.id)).status is ServiceStatus.DELETING


def test_logs_are_led_to_where_they_are(http: httpx.Client) -> None:
    assert_refusal(http.get(f"{SERVICES}/shop/logs"), "not_found")
    id = http.post(SERVICES, json=SHOP).json()["id"]
    for accepted in ("*/*", "application/json", "text/html", "text/event-stream, */*"):
        path = f"{SERVICES}/shop/logs?tail=5&follow"
        answer = http.get(path, headers={"Accept": accepted})
        assert (answer.status_code, answer.content) == (307, b"")
        assert answer.headers["location"] == f"/api/v1/logs/{id}?tail=5&follow"
    assert http.get(f"{SERVICES}/{id}/logs").headers["location"] == f"/api/v1/logs/{id}"
    assert_refusal(http.get(f"{SERVICES}/shop/logs?tail=x"), "invalid_field", "tail")
    # The route leads who accepts nothing else to the function itself.
    events = http.get(f"{SERVICES}/none/logs", headers={"Accept": "text/event-stream"})
    assert_refusal(events, "not_found")

"""What keeps two writers, or one that has lost an answer, from doing harm."""

import uuid

from tests.journeys.platform import Platform

SERVICES = "/api/v1/services"


def test_a_post_that_is_sent_again_makes_one_service(platform: Platform, name: str) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"name": name, "image": "registry.invalid/nothing"}
    first = platform.api("POST", SERVICES, json=body, headers=key)
    again = platform.api("POST", SERVICES, json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    listed = platform.maxcloud("list", "-o", "json").json
    assert [s["id"] for s in listed if s["name"] == name] == [first.json()["id"]]
    other = platform.api("POST", SERVICES, json=body | {"port": 80}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


def test_a_change_to_another_generation_is_refused(platform: Platform, name: str) -> None:
    body = {"name": name, "image": "registry.invalid/nothing"}
    seen = platform.api("POST", SERVICES, json=body).headers["etag"]
    path = f"{SERVICES}/{name}"
    first = platform.api("PATCH", path, json={"cpu": "500m"}, headers={"If-Match": seen})
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    for late in (
        platform.api("PATCH", path, json={"cpu": "2"}, headers={"If-Match": seen}),
        platform.api("DELETE", path, headers={"If-Match": seen}),
    ):
        assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    shown = platform.api("GET", path)
    assert (shown.json()["cpu"], shown.json()["generation"]) == ("500m", 2)
    assert shown.headers["etag"] == '"2"'

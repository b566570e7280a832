"""What the registry's notifications do, and whose are heard."""

from typing import Any

import httpx
import pytest

from maxcloud import registry
from tests.functions.people import Organisation
from tests.functions.support import assert_refusal
from tests.registry.listing import listed
from tests.registry.world import SIGNING, World


def inside(world: World) -> str:
    return world.settings.hook


def event(action: str = "push", **target: Any) -> dict[str, Any]:
    return {"events": [{"action": action, "target": {"digest": "sha256:0", **target}}]}


def secret(world: World) -> dict[str, str]:
    return {"Authorization": f"Bearer {registry.hook_secrets([SIGNING])[0]}"}


def test_a_notification_is_a_hint(world: World, org: Organisation, http: httpx.Client) -> None:
    """What is forged, doubled or late says no more than: look there."""
    forged = event(repository=f"{org.id}/shop", tag="v1", digest=f"sha256:{'0' * 64}")
    nobodys = event(repository="00000000-0000-0000-0000-00000000dead/shop", tag="v1")
    elsewhere = event(repository="library/nginx", tag="v1")
    bodies: list[dict[str, Any]] = [forged, nobodys, elsewhere, {"events": []}]
    for body in bodies:
        answer = httpx.post(inside(world), json=body, headers=secret(world))
        assert (answer.status_code, answer.content) == (204, b"")
    assert listed(http) == {}
    digest = world.push(f"{org.id}/shop", "v1")
    for _ in range(2):
        assert httpx.post(inside(world), json=forged, headers=secret(world)).status_code == 204
    assert listed(http) == {digest: ["v1"]}


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer \xff".encode()}]
)
def test_a_notification_without_the_secret_is_refused(
    world: World, headers: dict[str, Any]
) -> None:
    answer = httpx.post(inside(world), json={"events": []}, headers=headers)
    assert_refusal(answer, "unauthenticated")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b'{"events": 1}', b'{"events": [1]}', b'{"events": [{"target": []}]}'),
        *(b'{"events": [{"target": {"repository": 1}}]}', b"[" * 100_000, b"\xff"),
    ],
)
def test_a_notification_that_is_none(world: World, body: bytes) -> None:
    answer = httpx.post(inside(world), content=body, headers=secret(world))
    assert_refusal(answer, "malformed")


def test_from_outside_there_is_no_such_path(world: World) -> None:
    answer = httpx.post(f"{world.url}/notifications", json={}, headers=secret(world))
    assert (answer.status_code, answer.content) == (404, b"")

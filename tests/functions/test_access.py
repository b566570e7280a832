"""Who may ask: without a credential nothing but the public routes answers."""

import re

import httpx
import pytest

from maxcloud import openapi
from maxcloud.http import Api
from maxcloud.routes import Route
from tests.conftest import FUNCTIONS
from tests.functions.support import SERVICES, assert_refusal

ROUTES = [route for api in openapi.load(FUNCTIONS) for route in api.routes]
PUBLIC_PATHS = {"/healthz", "/readyz", "/api/v1/version", "/api/v1/openapi.json"}
BEFORE_A_KEY = {f"/api/v1/auth/{path}" for path in ("register", "verify", "accept-invite")}
# Here the key comes in forms of its own.
BEFORE_A_KEY |= {"/api/v1/registry/token"}


def test_the_routes_without_a_role_are_the_public_ones(apis: dict[str, Api]) -> None:
    assert {route.path for route in ROUTES if route.role is None} == PUBLIC_PATHS | BEFORE_A_KEY


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.role], ids=lambda r: f"{r.method} {r.path}"
)
@pytest.mark.parametrize("key", [None, "Bearer mc_made_up", "Basic YTpi", "Bearer"])
def test_a_route_with_a_role_asks_for_a_credential(
    locked: httpx.Client, route: Route, key: str | None
) -> None:
    headers = {"Authorization": key} if key else {}
    path = re.sub("{[^}]+}", "shop", route.path)
    # The body is not looked at, and the database (there is none) is not asked.
    answer = locked.request(route.method, path, headers=headers, content=b"\xff")
    assert assert_refusal(answer, "unauthenticated") == "authentication required"


@pytest.mark.parametrize("path", sorted(PUBLIC_PATHS - {"/readyz"}))
def test_a_public_route_needs_neither_credential_nor_database(
    locked: httpx.Client, path: str
) -> None:
    answer = locked.get(path)
    assert answer.status_code == 200
    assert answer.headers["x-request-id"]


def test_the_api_describes_itself(locked: httpx.Client) -> None:
    document = locked.get("/api/v1/openapi.json").json()
    assert set(document["paths"]) == {route.template for route in ROUTES}
    assert SERVICES in document["paths"]

"""When what the platform depends on is away."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

from maxcloud.http import Api
from maxcloud.store.database import CONNECT_SECONDS, Database
from tests.conftest import TestDatabase, dev_config, served
from tests.functions.conftest import AWAY, public
from tests.functions.support import SERVICES, SHOP, assert_refusal
from tests.functions.test_event_endpoints import hint

NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def crippled(apis: dict[str, Api]) -> Iterator[tuple[str, str]]:
    """The public functions and `status`, without a database."""
    db, worker = Database(AWAY), Database(AWAY)
    config = dev_config()
    with (
        served(public(apis, config, db), after=db.close) as url,
        served(apis["status"].build(config, worker), after=worker.close) as events,
    ):
        yield url, events


@pytest.mark.anyio
async def test_without_a_database_every_route_says_unavailable_within_seconds(
    crippled: tuple[str, str],
) -> None:
    url, events = crippled
    began = time.monotonic()
    async with httpx.AsyncClient(timeout=CONNECT_SECONDS + 5) as client:
        *answers, ready, event, health = await asyncio.gather(
            client.get(url + SERVICES),
            client.post(url + SERVICES, json=SHOP),
            client.get(f"{url}{SERVICES}/shop"),
            client.patch(f"{url}{SERVICES}/shop", json={"port": 80}),
            client.delete(f"{url}{SERVICES}/shop"),
            client.get(f"{url}/readyz"),
            client.post(f"{events}/hints", **hint()),
            client.get(f"{url}/healthz"),
        )
    assert time.monotonic() - began < CONNECT_SECONDS + 2
    for answer in answers:
        assert "database" in assert_refusal(answer, "unavailable")
        assert answer.headers["retry-after"] == "5"
    assert assert_refusal(ready, "unavailable") == "down: database"
    assert ready.headers["retry-after"] == "5"
    assert (event.status_code, event.content) == (503, b"")
    assert health.json() == {"status": "ok"}


def test_without_a_broker_the_platform_is_not_ready_but_serves(
    apis: dict[str, Api], database: TestDatabase
) -> None:
    db = Database(database.api)
    with (
        served(public(apis, dev_config(sink=NOBODY), db), after=db.close) as url,
        httpx.Client(base_url=url) as client,
    ):
        ready = client.get("/readyz")
        assert assert_refusal(ready, "unavailable") == "down: broker"
        assert client.post(SERVICES, json=SHOP).status_code == 201


def test_with_both_the_platform_is_ready(shared: httpx.Client) -> None:
    assert shared.get("/readyz").json() == {"status": "ok"}

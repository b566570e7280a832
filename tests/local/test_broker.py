"""What the broker takes, and how it and its triggers say that they are."""

import asyncio
import json

import pytest
from cloudevents.conversion import to_binary

from maxcloud_local.eventing import broker as broker_module
from maxcloud_local.eventing.broker import Full, UnknownBroker
from maxcloud_local.eventing.cloudevent import Event
from maxcloud_local.kinds import BROKER, SERVICE, TRIGGER
from maxcloud_local.store import Object
from tests.local.post import EVENT, Taker, ksvc, post
from tests.local.standins import until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("headers", "body", "path", "status"),
    [
        ({}, b"{}", "/default/main", 400),
        (
            {"Content-Type": "text/plain"},
            json.dumps({"specversion": "1.0"}).encode(),
            "/default/main",
            400,
        ),
        (to_binary(EVENT)[0], b"", "/default/other", 404),
        (to_binary(EVENT)[0], b"", "/main", 404),
        (to_binary(EVENT)[0], bytes(1024 * 1024 + 1), "/default/main", 413),
        (to_binary(EVENT)[0], bytes(1024 * 1024), "/default/main", 202),
        (to_binary(EVENT)[0] | {"Host": "evil.example"}, b"", "/default/main", 404),
        (to_binary(EVENT)[0] | {"Host": "127.0.0.1:1"}, b"", "/default/main", 404),
    ],
)
async def test_what_is_taken(headers: dict[str, str], body: bytes, path: str, status: int) -> None:
    async with post() as here:
        assert await here.post(headers, body, path) == status


async def test_a_web_page_is_not_told_that_it_may() -> None:
    async with post() as here:
        asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        async with here.client.options(here.url + "/default/main", headers=asked) as answer:
            assert answer.status == 405
            assert not [name for name in answer.headers if name.startswith("Access-Control")]


async def test_readiness_asks_for_its_health() -> None:
    async with post() as here, here.client.get(here.url + "/healthz") as answer:
        assert answer.status == 200


async def test_it_takes_no_more_than_it_can_keep() -> None:
    async with post() as here:
        here.subscribe(
            "taker", delivery={"retry": 1, "backoffPolicy": "exponential", "backoffDelay": "PT60S"}
        )
        event = Event.new({"type": "t", "source": "/s"})
        for _ in range(broker_module.UNDER_WAY_MAX):
            here.broker.accept("default", "main", event)
        with pytest.raises(Full):
            here.broker.accept("default", "main", event)
        assert await here.publish() == 503
        # What nobody wants takes no room.
        here.world.store.delete(TRIGGER, "default", "taker")
        assert await here.publish() == 202
        with pytest.raises(UnknownBroker):
            here.broker.accept("default", "other", event)


async def test_broker_and_triggers_say_how_they_are() -> None:
    async with post() as here:
        store = here.world.store

        def conditions(name: str) -> dict[str, tuple[str, str]]:
            status = store.get(TRIGGER, "default", name).get("status", {})
            return {
                each["type"]: (each["status"], each.get("reason", ""))
                for each in status.get("conditions", [])
            }

        here.subscribe("taker", delivery={"deadLetterSink": ksvc("grave")})
        here.subscribe("odd", filters=[{"cesql": "TRUE"}])
        here.subscribe("lost", broker="other")
        await until(lambda: all(map(conditions, ("taker", "odd", "lost"))))
        status = store.get(BROKER, "default", "main")["status"]
        assert status["address"]["url"] == here.url + "/default/main"
        assert ready(status) == "True"
        assert conditions("taker")["SubscriberResolved"] == (
            "False",
            "Unable to get the Subscriber's URI",
        )
        assert conditions("taker")["Ready"][0] == "False"
        assert conditions("odd")["Ready"] == ("False", "NotSubscribed")
        assert conditions("lost")["BrokerReady"] == ("False", "BrokerDoesNotExist")

        await here.world.service("taker", Taker([204]))
        await here.world.service("grave", Taker([204]))
        await until(lambda: conditions("taker")["Ready"] == ("True", ""))
        status = store.get(TRIGGER, "default", "taker")["status"]
        assert status["subscriberUri"] == "http://taker.default.svc.cluster.local/"
        version = store.version
        store.delete(SERVICE, "default", "grave")
        await until(lambda: conditions("taker")["Ready"][0] == "False")
        # Writing a status is a change too: it must come to rest.
        await asyncio.sleep(0.05)
        assert store.version < version + 20


def ready(status: Object) -> str:
    [found] = [each["status"] for each in status["conditions"] if each["type"] == "Ready"]
    return str(found)

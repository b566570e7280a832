"""What the broker takes, to whom it delivers, and how often."""

import asyncio
import base64
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent, from_http

from maxcloud_local.eventing import broker as broker_module
from maxcloud_local.eventing.broker import Broker, Full, UnknownBroker
from maxcloud_local.eventing.cloudevent import Event
from maxcloud_local.kinds import BROKER, SERVICE, TRIGGER
from maxcloud_local.store import Object
from tests.local.standins import until
from tests.local.world import World, listening, world

pytestmark = pytest.mark.anyio

EVENT = CloudEvent({"id": "7", "source": "/test", "type": "t", "orgid": "o"}, {"a": "ü"})


@dataclass
class Taker:
    """A subscriber that answers with these statuses in turn, the last one for ever."""

    statuses: list[int]
    said: bytes = b""
    taken: list[tuple[float, str, CloudEvent]] = field(default_factory=list)

    async def __call__(self, request: web.Request) -> web.Response:
        event = from_http(dict(request.headers), await request.read())
        self.taken.append((time.monotonic(), request.path, event))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status, body=self.said)

    @property
    def gaps(self) -> list[float]:
        times = [time for time, _, _ in self.taken]
        return [after - before for before, after in pairwise(times)]

    @property
    def events(self) -> list[CloudEvent]:
        return [event for _, _, event in self.taken]


class Post:
    """A Broker `main`, and a client that publishes."""

    def __init__(
        self, here: World, broker: Broker, client: aiohttp.ClientSession, url: str
    ) -> None:
        self.world, self.broker, self.client, self.url = here, broker, client, url

    def subscribe(self, name: str, **spec: Any) -> None:
        """Add a Trigger for a service of the same name."""
        self.world.store.create(
            TRIGGER,
            {
                "apiVersion": "eventing.knative.dev/v1",
                "kind": "Trigger",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"broker": "main", "subscriber": ksvc(name), **spec},
            },
        )

    async def publish(self, event: CloudEvent = EVENT, mode: Any = to_binary) -> int:
        headers, body = mode(event)
        return await self.post(headers, body)

    async def post(self, headers: Any, body: bytes = b"", path: str = "/default/main") -> int:
        async with self.client.post(
            self.url + path, headers=headers, data=io.BytesIO(body)
        ) as answer:
            return answer.status

    @property
    def happenings(self) -> list[tuple[str, str, str]]:
        return [(each.subject, each.what, each.detail) for each in self.world.happenings]


@asynccontextmanager
async def post() -> AsyncIterator[Post]:
    async with world() as here, aiohttp.ClientSession() as client:
        bound = listening()
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        served = Broker(here.store, here.serving, here.forwarder, url, here.happenings.append)
        await here.serve(web.AppRunner(served.app()), bound)
        here.follow(served.run)
        metadata = {"name": "main", "namespace": "default"}
        here.store.create(
            BROKER,
            {"apiVersion": BROKER.api_version, "kind": "Broker", "metadata": metadata, "spec": {}},
        )
        yield Post(here, served, client, url)
        await served.stop()


def ksvc(name: str, uri: str | None = None) -> Object:
    ref = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": name}
    return {"ref": ref, "uri": uri} if uri else {"ref": ref}


QUICKLY = {"retry": 3, "backoffPolicy": "exponential", "backoffDelay": "PT0.05S"}


@pytest.mark.parametrize("mode", [to_binary, to_structured])
async def test_an_event_reaches_every_trigger_that_wants_it(mode: Any) -> None:
    first, second, third = Taker([204]), Taker([204]), Taker([204])
    async with post() as here:
        for name, taker in {"first": first, "second": second, "third": third}.items():
            await here.world.service(name, taker)
        here.subscribe("first")
        here.subscribe(
            "second", subscriber=ksvc("second", "/events"), filters=[{"exact": {"type": "t"}}]
        )
        here.subscribe("third", filters=[{"exact": {"type": "other"}}])
        assert await here.publish(mode=mode) == 202
        await until(lambda: first.taken and second.taken)
        assert [path for _, path, _ in first.taken + second.taken] == ["/", "/events"]
        [event] = second.events
        assert (event["id"], event["orgid"], event.get_data()) == ("7", "o", {"a": "ü"})
        assert third.taken == []
        assert here.happenings[-1] == ("main", "event", "t → first, second")


@pytest.mark.parametrize("status", [503, 500, 404, 408, 409, 429])
async def test_what_may_pass_is_tried_again_with_growing_gaps(status: int) -> None:
    taker = Taker([status, status, status, 204])
    async with post() as here:
        await here.world.service("taker", taker)
        here.subscribe("taker", delivery=QUICKLY)
        await here.publish()
        await until(lambda: len(taker.taken) == 4)
        first, second, third = taker.gaps
        assert first >= 0.05
        assert second >= 0.1
        assert third >= 0.2
        assert {event["id"] for event in taker.events} == {"7"}


@pytest.mark.parametrize(("status", "tries"), [(400, 1), (422, 1), (302, 1), (503, 4)])
async def test_a_dead_letter(status: int, tries: int) -> None:
    taker, grave = Taker([status], said=b"not like this"), Taker([503, 204])
    async with post() as here:
        await here.world.service("taker", taker)
        await here.world.service("grave", grave)
        sink = ksvc("grave", "/dead-letters")
        here.subscribe("taker", delivery={**QUICKLY, "deadLetterSink": sink})
        await here.publish()
        await until(lambda: len(grave.taken) == 2)
        assert len(taker.taken) == tries
        _, path, letter = grave.taken[-1]
        assert (path, letter["id"], letter["type"]) == ("/dead-letters", "7", "t")
        assert letter["knativeerrordest"] == "http://taker.default.svc.cluster.local/"
        assert letter["knativeerrorcode"] == str(status)
        assert base64.b64decode(letter["knativeerrordata"]) == b"not like this"
        assert letter.get_data() == EVENT.get_data()
        assert ("taker", "dead letter", f"t ({status})") in here.happenings


async def test_an_answer_with_a_body_is_a_failure() -> None:
    taker, grave = Taker([200], said=b"OK"), Taker([204])
    async with post() as here:
        await here.world.service("taker", taker)
        await here.world.service("grave", grave)
        here.subscribe("taker", delivery={**QUICKLY, "deadLetterSink": ksvc("grave")})
        await here.publish()
        await until(lambda: grave.taken)
        assert len(taker.taken) == 4
        assert grave.events[0]["knativeerrorcode"] == "502"


async def test_a_subscriber_that_is_not_there_yet() -> None:
    taker = Taker([204])
    async with post() as here:
        here.subscribe("taker", delivery={**QUICKLY, "retry": 8})
        await here.publish()
        await here.world.service("taker", taker)
        await until(lambda: taker.taken)


async def test_no_instance_can_start() -> None:
    taker, grave = Taker([204]), Taker([204])
    async with post() as here:
        await here.world.service("taker", taker)
        await here.world.service("grave", grave)
        here.world.give_up("taker")
        here.subscribe("taker", delivery={**QUICKLY, "deadLetterSink": ksvc("grave")})
        await here.publish()
        await until(lambda: grave.taken)
        assert grave.events[0]["knativeerrorcode"] == "503"


async def test_a_slow_subscriber_delays_nobody_and_ends_at_its_timeout() -> None:
    begun = 0

    async def hang(_: web.Request) -> web.Response:
        nonlocal begun
        begun += 1
        await asyncio.sleep(60)
        return web.Response(status=204)

    taker, grave = Taker([204]), Taker([204])
    async with post() as here:
        await here.world.service("slow", hang)
        await here.world.service("taker", taker)
        await here.world.service("grave", grave)
        delivery = {"timeout": "PT2S", "deadLetterSink": ksvc("grave")}
        here.subscribe("slow", delivery=delivery)
        here.subscribe("taker")
        for _ in range(20):
            assert await here.publish() == 202
        await until(lambda: len(taker.taken) == 20 and begun == 20)
        assert grave.taken == []
        await until(lambda: len(grave.taken) == 20)
        assert {letter["knativeerrorcode"] for letter in grave.events} == {"504"}


async def test_what_nobody_takes_is_given_up() -> None:
    async with post() as here:
        await here.world.service("taker", Taker([400]))
        here.subscribe("taker")
        await here.publish()
        await until(lambda: ("taker", "gives up", "t (400)") in here.happenings)


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

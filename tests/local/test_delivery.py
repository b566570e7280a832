"""To whom the broker delivers, and how often."""

import asyncio
import base64
from typing import Any

import pytest
from aiohttp import web
from cloudevents.conversion import to_binary, to_structured

from tests.local.post import EVENT, Taker, ksvc, post
from tests.local.standins import until

pytestmark = pytest.mark.anyio

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

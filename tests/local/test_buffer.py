"""How requests wait for an instance, and which one they get."""

import asyncio
import time

import pytest

from maxcloud_local.serving.buffer import WAITING_MOST, Buffer, NoInstance
from maxcloud_local.serving.conditions import State
from tests.local.standins import StandInLauncher, until
from tests.local.visits import Visit, inside, revision

pytestmark = pytest.mark.anyio


async def test_no_instance_takes_more_than_its_concurrency_and_who_came_first_goes_first() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher, {"max-scale": "2"}, containerConcurrency=1) as hello:
        visits = [Visit(hello) for _ in range(5)]
        await until(inside(visits[:2]))
        assert {visit.instance for visit in visits[:2]} == set(launcher.made)
        assert [visit.instance for visit in visits[2:]] == [None] * 3
        for done, waiting in enumerate(visits[2:]):
            assert waiting.instance is None
            await visits[done].leave()
            await until(inside([waiting]))
        for visit in visits[3:]:
            await visit.leave()


async def test_requests_go_to_the_emptiest_instance() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher, {"min-scale": "3"}) as hello:
        hello.need(True)
        await until(lambda: hello.state.ready == 3)
        visits = [Visit(hello) for _ in range(6)]
        await until(inside(visits))
        pods = sorted(visit.instance.pod for visit in visits if visit.instance)
        assert pods == sorted(2 * [instance.pod for instance in launcher.made])
        for visit in visits:
            await visit.leave()


@pytest.mark.parametrize("given", [True, False], ids=["after its turn came", "before"])
async def test_a_client_that_goes_away_while_it_waits_leaves_no_trace(given: bool) -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher, {"max-scale": "1"}, containerConcurrency=1) as hello:
        first = Visit(hello)
        await until(inside([first]))
        second, third = Visit(hello), Visit(hello)
        await asyncio.sleep(0)
        if given:
            first._leave.set()
            await asyncio.sleep(0)
        second.task.cancel()
        await asyncio.gather(second.task, return_exceptions=True)
        await first.leave()
        await until(inside([third]))
        await third.leave()
        async with asyncio.timeout(1), hello.room():
            pass


async def test_when_too_many_wait_the_next_is_refused() -> None:
    full = Buffer(concurrency=0)
    for _ in range(WAITING_MOST):
        full.queue()
    with pytest.raises(NoInstance, match="10000 requests wait already"):
        full.queue()


async def test_an_instance_that_stops_listening_gets_nothing_until_it_is_back() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher) as hello:
        async with hello.room():
            pass
        launcher.made[0].fail("ExitCode1", "")
        visit = Visit(hello)
        await asyncio.sleep(0.01)
        assert visit.instance is None
        assert hello.state == State(1, 0, True, None)
        launcher.made[0].become_ready()
        await until(inside([visit]))
        await visit.leave()


async def test_a_thousand_requests_of_fifty_clients_wait_for_nothing_else() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher) as hello:

        async def client() -> None:
            for _ in range(20):
                async with hello.room():
                    await asyncio.sleep(0)

        await asyncio.gather(*(client() for _ in range(50)))
        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(50)))
        # Some ten microseconds each; the bound only tells linear from quadratic.
        assert time.perf_counter() - began < 2

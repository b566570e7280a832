"""When the instances of a revision leave, and which stay."""

import asyncio
import time

import pytest

from maxcloud_local.serving.buffer import NoInstance
from maxcloud_local.serving.conditions import State
from tests.local.standins import StandInLauncher, until
from tests.local.visits import Visit, inside, revision

pytestmark = pytest.mark.anyio


async def test_without_requests_it_sleeps_after_its_window_and_wakes_again() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher, window=1) as hello:
        before = asyncio.all_tasks()
        hello.need(True)
        async with hello.room():
            began = time.monotonic()
        await until(lambda: launcher.made[0].stopped)
        assert time.monotonic() - began >= 1
        assert hello.state == State(0, 0, True, None)
        # Nothing of it runs on.
        await until(lambda: asyncio.all_tasks() == before)
        async with hello.room() as instance:
            assert instance is launcher.made[1]
        what = [what for what, _ in launcher.happenings]
        assert what == ["wakes", "sleeps", "wakes"]


async def test_a_request_that_stays_keeps_it_awake() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher, window=1) as hello:
        visit = Visit(hello)
        await until(inside([visit]))
        await asyncio.sleep(1.6)
        assert len(launcher.alive) == 1
        await visit.leave()
        await until(lambda: not launcher.alive)


async def test_its_least_number_stays_while_it_is_needed_and_costs_nothing() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher, {"min-scale": "1"}, window=1) as hello:
        before = asyncio.all_tasks()
        hello.need(True)
        await until(lambda: hello.state.established)
        async with hello.room():
            pass
        # The instance's own is left.
        await until(lambda: len(asyncio.all_tasks() - before) == 1)
        assert len(launcher.alive) == 1
        hello.need(False)
        await until(lambda: not launcher.alive)


async def test_an_instance_leaves_after_its_requests() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher) as hello:
        visit = Visit(hello)
        await until(inside([visit]))
        end = asyncio.create_task(hello.end())
        await asyncio.sleep(0)
        with pytest.raises(NoInstance, match="going away"):
            async with hello.room():
                pass
        assert not launcher.made[0].stopped
        await visit.leave()
        await end
        assert launcher.made[0].stopped


async def test_an_instance_waits_for_its_requests_no_longer_than_they_may_take() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher, timeoutSeconds=1) as hello:
        visit = Visit(hello)
        await until(inside([visit]))
        async with asyncio.timeout(5):
            await hello.end()
        assert launcher.made[0].stopped
        await visit.leave()


async def test_fewer_requests_let_the_idle_go_first() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher, {"min-scale": "2"}, window=1) as hello:
        hello.need(True)
        await until(lambda: hello.state.established)
        visits = [Visit(hello), Visit(hello)]
        await until(inside(visits))
        busy, idle = visits[0].instance, visits[1].instance
        assert idle is not None
        await visits[1].leave()
        hello.need(False)
        await until(lambda: idle.stopped)
        assert launcher.alive == [busy]
        await visits[0].leave()


async def test_an_instance_whose_pod_is_deleted_is_replaced() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher, {"min-scale": "1"}) as hello:
        hello.need(True)
        await until(lambda: hello.state.ready == 1)
        launcher.made[0].pod_deleted()
        async with hello.room() as instance:
            assert instance is launcher.made[1]
        await until(lambda: launcher.made[0].stopped)

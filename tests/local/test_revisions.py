"""How the instances of a revision start, and what is told when they cannot."""

import asyncio

import pytest

from maxcloud_local.instances.running import Failure
from maxcloud_local.serving.buffer import NoInstance
from maxcloud_local.serving.conditions import NEVER_READY, State
from tests.local.standins import StandIn, StandInLauncher, until
from tests.local.visits import Visit, inside, revision

pytestmark = pytest.mark.anyio


async def test_nothing_starts_before_it_is_needed() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher) as hello:
        await asyncio.sleep(0)
        assert (launcher.made, hello.state) == ([], State(0, 0, False, None))


async def test_one_instance_shows_that_it_starts() -> None:
    launcher = StandInLauncher(ready=False)
    async with revision(launcher) as hello:
        hello.need(True)
        await until(lambda: launcher.alive)
        assert hello.state == State(1, 0, False, None)
        launcher.made[0].become_ready()
        assert hello.state == State(1, 1, True, None)
        assert launcher.happenings == [("wakes", "0 → 1")]


async def test_as_many_as_the_least_must_be_ready() -> None:
    launcher = StandInLauncher(ready=False)
    async with revision(launcher, {"min-scale": "2"}) as hello:
        hello.need(True)
        await until(lambda: len(launcher.alive) == 2)
        launcher.made[0].become_ready()
        assert not hello.state.established
        launcher.made[1].become_ready()
        assert hello.state == State(2, 2, True, None)


async def test_with_an_initial_scale_of_zero_nothing_must_be_shown() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher, {"initial-scale": "0"}) as hello:
        hello.need(True)
        assert hello.state == State(0, 0, True, None)
        async with hello.room() as instance:
            assert instance.pod == "hello-00001-0"


async def test_a_request_wakes_it_and_goes_in_when_it_is_ready() -> None:
    launcher = StandInLauncher(ready=False)
    async with revision(launcher) as hello:
        visit = Visit(hello)
        await until(lambda: launcher.alive)
        assert visit.instance is None
        launcher.made[0].become_ready()
        await until(inside([visit]))
        await visit.leave()


async def test_a_burst_at_zero_starts_what_it_needs_at_once() -> None:
    launcher = StandInLauncher(ready=False)
    async with revision(launcher) as hello:
        visits = [Visit(hello) for _ in range(250)]
        await until(lambda: len(launcher.alive) == 4)
        assert len(launcher.made) == 4
        for instance in launcher.made:
            instance.become_ready()
        await until(inside(visits))
        assert sum(visit.instance is launcher.made[0] for visit in visits) >= 250 / 4
        for visit in visits:
            await visit.leave()


async def test_a_burst_starts_no_more_than_the_most() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher, {"max-scale": "2"}) as hello:
        visits = [Visit(hello) for _ in range(250)]
        await until(inside(visits))
        assert len(launcher.made) == 2
        for visit in visits:
            await visit.leave()


async def test_who_waits_for_what_cannot_start_hears_why() -> None:
    launcher = StandInLauncher(ready=False)
    async with revision(launcher) as hello:
        hello.need(True)
        visit = Visit(hello)
        await until(lambda: launcher.alive)
        launcher.made[0].fail("ExitCode3", "secret")
        await asyncio.sleep(0)
        assert not visit.task.done()
        launcher.made[0].give_up("ExitCode3", "secret")
        for task in (visit.task, Visit(hello).task):
            with pytest.raises(NoInstance) as refused:
                await task
            assert str(refused.value) == "no instance of hello-00001 can start (ExitCode3)"
        assert hello.state == State(1, 0, False, Failure("ExitCode3", "secret"))
        # The container is started again and again, and one day it works.
        launcher.made[0].become_ready()
        assert hello.state == State(1, 1, True, None)
        async with hello.room():
            pass


async def test_what_never_listens_is_given_up_at_the_deadline() -> None:
    launcher = StandInLauncher(ready=False)
    async with revision(launcher, {"progress-deadline": "0s"}) as hello:
        hello.need(True)
        visit = Visit(hello)
        with pytest.raises(NoInstance, match="ProgressDeadlineExceeded"):
            await visit.task
        await until(lambda: launcher.made and not launcher.alive)
        assert hello.state == State(0, 0, False, NEVER_READY)
        assert launcher.happenings == [("wakes", "0 → 1"), ("sleeps", "1 → 0")]
        await asyncio.sleep(0.6)
        assert len(launcher.made) == 1


async def test_at_the_deadline_it_is_still_known_why() -> None:
    launcher = StandInLauncher(ready=False)
    async with revision(launcher, {"progress-deadline": "0s"}) as hello:
        hello.need(True)
        await until(lambda: launcher.alive)
        launcher.made[0].give_up("ExitCode3", "oh no")
        await until(lambda: launcher.made[0].stopped)
        assert hello.state == State(0, 0, False, Failure("ExitCode3", "oh no"))


async def test_only_so_many_start_at_the_same_time() -> None:
    launcher = StandInLauncher(ready=False)
    async with revision(launcher, {"min-scale": "5"}, at_once=2) as hello:
        hello.need(True)
        started: list[StandIn] = []
        while len(started) < 5:
            await until(lambda: launcher.alive[len(started) :])
            await asyncio.sleep(0.01)
            assert len(launcher.alive) <= len(started) + 2
            started.append(launcher.alive[len(started)])
            started[-1].become_ready()
        assert hello.state == State(5, 5, True, None)

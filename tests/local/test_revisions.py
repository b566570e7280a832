import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from maxcloud_local.instances.running import Failure
from maxcloud_local.serving.buffer import WAITING_MOST, Buffer, NoInstance
from maxcloud_local.serving.conditions import NEVER_READY, State
from maxcloud_local.serving.revisions import Revision
from tests.local.standins import StandIn, StandInLauncher, until

pytestmark = pytest.mark.anyio


def made(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    scaling = {
        f"autoscaling.knative.dev/{key}": value for key, value in (annotations or {}).items()
    }
    deadline = scaling.pop("autoscaling.knative.dev/progress-deadline", "600s")
    return {
        "metadata": {
            "name": "hello-00001",
            "namespace": "default",
            "labels": {"serving.knative.dev/service": "hello"},
            "annotations": {**scaling, "serving.knative.dev/progress-deadline": deadline},
        },
        "spec": {"containers": [{"image": "-"}], **spec},
    }


@asynccontextmanager
async def revision(
    launcher: StandInLauncher,
    annotations: dict[str, str] | None = None,
    *,
    at_once: int = 4,
    window: float = 60,
    **spec: Any,
) -> AsyncIterator[Revision]:
    it = Revision(
        made(annotations, **spec),
        launcher,
        asyncio.Semaphore(at_once),
        window=lambda: window,
        tell=launcher.tell,
        on_change=lambda: None,
    )
    yield it
    await it.end(drain=False)
    assert not launcher.alive


class Visit:
    """A request that stays inside until it is told to leave."""

    def __init__(self, revision: Revision) -> None:
        self.instance: StandIn | None = None
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(revision))

    async def _visit(self, revision: Revision) -> None:
        async with revision.room() as instance:
            assert isinstance(instance, StandIn)
            self.instance = instance
            await self._leave.wait()

    async def leave(self) -> None:
        self._leave.set()
        await self.task


def inside(visits: list[Visit]) -> Callable[[], bool]:
    return lambda: all(visit.instance for visit in visits)


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


async def test_an_instance_whose_pod_is_deleted_is_replaced() -> None:
    launcher = StandInLauncher(ready=True)
    async with revision(launcher, {"min-scale": "1"}) as hello:
        hello.need(True)
        await until(lambda: hello.state.ready == 1)
        launcher.made[0].pod_deleted()
        async with hello.room() as instance:
            assert instance is launcher.made[1]
        await until(lambda: launcher.made[0].stopped)


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

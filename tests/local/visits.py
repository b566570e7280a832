"""One revision over stand-ins, and requests that stay in it until they are told to leave."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from maxcloud_local.serving.revisions import Revision
from tests.local.standins import StandIn, StandInLauncher


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

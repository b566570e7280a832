"""What instances have written: read from a place on, and merged by time.

A log is read at the pace of its reader; no more of it is in memory than a chunk of each instance.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterable
from contextlib import AsyncExitStack, aclosing, suppress
from datetime import UTC, datetime
from typing import TypeVar

from maxcloud.knative.pods import NoLog, Pod, Pods
from maxcloud.logs.lines import Line, Lines
from maxcloud.logs.places import BEGINNING, Place

# The lines of one or several logs, some at a time, as they come.
Portions = AsyncGenerator[list[Line], None]

Done = TypeVar("Done")

# The kubelet compares whole seconds, and lines stand a little out of order: a second earlier
# nothing is missed that has a place after the wanted one.
_EARLIER_SECONDS = 1
_NANO = 1_000_000_000


async def read(
    pods: Pods, pod: Pod, after: Place, *, follow: bool = False, tail: int | None = None
) -> Portions:
    """Yield what an instance wrote after a place; nothing when there is nothing to read.

    With `follow` also what it writes from now on, until its container ends. Where a container was
    started again, what the one before it wrote comes first. Raises Unavailable.
    """
    since = _whole_seconds(after) if after != BEGINNING else None
    for previous in (True, False) if pod.restarts else (False,):
        with suppress(NoLog):
            async with pods.log(
                pod.name, follow=follow and not previous, since=since, tail=tail, previous=previous
            ) as output:
                lines = Lines(pod.name, pod.revision, names_streams=output.names_streams)
                async for chunk in output.chunks:
                    if found := [line for line in lines.take(chunk) if line.place > after]:
                        after = found[-1].place
                        yield found


async def merged(logs: Iterable[Portions]) -> Portions:
    """Yield the lines of several logs in the order of their times."""
    async with AsyncExitStack() as stack:
        sources = [_Source(await stack.enter_async_context(aclosing(log))) for log in logs]
        await together(source.fill() for source in sources)
        first = [(*source.key, number) for number, source in enumerate(sources) if source.lines]
        heapq.heapify(first)
        portion: list[Line] = []
        while first:
            number = first[0][-1]
            source = sources[number]
            portion.append(source.lines.popleft())
            if not source.lines:
                # Nothing that is here waits for what is to come.
                yield portion
                portion = []
                await source.fill()
            if source.lines:
                heapq.heapreplace(first, (*source.key, number))
            else:
                heapq.heappop(first)


async def together(work: Iterable[Coroutine[None, None, Done]]) -> list[Done]:
    """Return what each comes to; one that fails ends the others, and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
    return [task.result() for task in tasks]


class _Source:
    """A log, and what has come of it."""

    def __init__(self, log: Portions) -> None:
        self._log = log
        self.lines: deque[Line] = deque()

    @property
    def key(self) -> tuple[int, str]:
        return self.lines[0].place.time, self.lines[0].instance

    async def fill(self) -> None:
        self.lines.extend(await anext(self._log, []))


def _whole_seconds(place: Place) -> str:
    seconds = max(place.time // _NANO - _EARLIER_SECONDS, 0)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

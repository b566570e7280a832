"""The last lines of all instances of a service, by time."""

import asyncio
import heapq
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass

from maxcloud.knative.pods import Pod, Pods
from maxcloud.logs.backlog import read, together
from maxcloud.logs.lines import Line
from maxcloud.logs.places import BEGINNING, Cursor, Place

# More than this is not kept: who wants it reads it again, at the pace of who reads.
KEPT_BYTES_MAX = 256 * 1024

# How many logs are looked through at a time; a service may have hundreds of instances.
LOGS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Last:
    """The places before the last lines, and the lines; None where they are too much to keep."""

    cursor: Cursor
    lines: list[Line] | None


async def find(pods: Pods, instances: Iterable[Pod], tail: int, since: int | None) -> Last:
    """Find the last `tail` lines that are not older than `since`, nanoseconds since 1970.

    Raises Unavailable.
    """
    start = BEGINNING if since is None else Place(since, 0)
    cursor, newest = Cursor(), _Newest(tail)
    at_once = asyncio.Semaphore(LOGS_AT_ONCE)

    async def look_through(pod: Pod) -> None:
        if start != BEGINNING:
            cursor[pod.name] = start
        async with at_once, aclosing(read(pods, pod, start, tail=max(tail, 1))) as log:
            async for lines in log:
                cursor[pod.name] = lines[-1].place
                for line in lines:
                    newest.add(line)

    await together(look_through(pod) for pod in instances if pod.has_run)
    for name, first in newest.firsts().items():
        cursor[name] = Place(first.time, first.nth - 1)
    return Last(cursor, newest.lines())


class _Newest:
    """So many of the lines that were added: the newest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # By time, instance and place in its log, as `merged` has them; no two are the same.
        self._heap: list[tuple[int, str, Place, Line | None]] = []
        self._bytes, self._are_kept = 0, True

    def add(self, line: Line) -> None:
        kept = line if self._are_kept else None
        entry = (line.place.time, line.instance, line.place, kept)
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, entry)
            gone = None
        else:
            gone = heapq.heappushpop(self._heap, entry)[-1]
        if self._are_kept:
            self._bytes += len(line.text) - (len(gone.text) if gone else 0)
            if self._bytes > KEPT_BYTES_MAX:
                self._are_kept = False
                self._heap = [(*entry[:-1], None) for entry in self._heap]

    def firsts(self) -> dict[str, Place]:
        """Return the place of each instance's first line among them."""
        return {name: place for _, name, place, _ in sorted(self._heap, reverse=True)}

    def lines(self) -> list[Line] | None:
        """Return them, the oldest first."""
        return [line for *_, line in sorted(self._heap) if line] if self._are_kept else None

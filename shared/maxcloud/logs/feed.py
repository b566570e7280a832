"""What a service's instances write from now on, read once for all who follow it.

A node's kubelet takes an inotify instance for each log that is followed, of which Linux gives a
user 128: so two hundred followers share one.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, suppress
from contextvars import Context
from dataclasses import replace

from maxcloud.errors import Unavailable
from maxcloud.instances import InstanceState
from maxcloud.knative.kubeconfig import Access
from maxcloud.knative.pods import Pod, Pods
from maxcloud.logs.backlog import read
from maxcloud.logs.lines import Line
from maxcloud.logs.places import BEGINNING, Cursor, Place

# How much may wait for a slow follower; a line counts for this much beside its text.
WAITING_BYTES_MAX = 256 * 1024
_BYTES_BESIDE = 256

# Until a log that ended is asked for anew, while its instance is there.
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.5, 8.0

# How long a feed goes on that nobody follows: whose connection was cut comes back soon.
LEFT_SECONDS = 5.0

# How long the last lines of an instance may take when it is gone.
LAST_LINES_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Follower:
    """One who follows a feed.

    `missed` says that more came than may wait, so the logs must be read up to now again. `closed`
    says that it is over. `behind` are the places that the feed had passed before: what stands up
    to them never comes here.
    """

    def __init__(self) -> None:
        self.missed = self.closed = False
        self.behind: dict[str, Place] = {}
        self._waiting: list[Pod | Line] = []
        self._bytes = 0
        self._news = asyncio.Event()

    def begin(self, behind: dict[str, Place]) -> None:
        """Let go of what waits; what comes from now on is kept."""
        self.missed, self.behind = False, dict(behind)
        self._waiting, self._bytes = [], 0

    def give(self, items: list[Pod] | list[Line]) -> None:
        """Keep what has come, unless it is too much."""
        if self.missed:
            return
        self._waiting += items
        self._bytes += sum(
            _BYTES_BESIDE + (len(item.text) if isinstance(item, Line) else 0) for item in items
        )
        if self._bytes > WAITING_BYTES_MAX:
            self.missed, self._waiting = True, []
        self._news.set()

    async def take(self) -> list[Pod | Line]:
        """Wait for news and return what has come: nothing when it was too much, or is over."""
        await self._news.wait()
        self._news.clear()
        taken, self._waiting, self._bytes = self._waiting, [], 0
        return taken

    def close(self) -> None:
        """Say that it is over."""
        self.closed = True
        self._news.set()


class Feed:
    """The instances that a label selector means, as they are now, and what they write."""

    pods: Pods
    _readers: asyncio.TaskGroup

    def __init__(self, access: Access, namespace: str, selector: str) -> None:
        self.instances: dict[str, Pod] = {}
        self.followers: set[Follower] = set()
        self._access, self._namespace, self._selector = access, namespace, selector
        self._is_read = False
        # Of each log that is read here.
        self._places: dict[str, Place] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changes: dict[str, asyncio.Event] = {}
        self._looked = asyncio.Event()
        self._error: Exception | None = None

    async def looked(self) -> None:
        """Wait until `instances` is known; raises Unavailable."""
        await self._looked.wait()
        if self._error is not None:
            raise self._error

    def begin(self, follower: Follower) -> None:
        """Let a follower have what is written from now on, once `read_from` was called."""
        follower.begin(self._places)

    def read_from(self, cursor: Cursor) -> None:
        """Begin to read where a follower is, unless it is done; later instances are read whole."""
        if not self._is_read:
            self._is_read = True
            for name in self.instances:
                self._read(name, cursor[name])

    async def run(self) -> None:
        """Watch and read until cancelled."""
        try:
            async with (
                Pods.connect(self._access, self._namespace) as self.pods,
                asyncio.TaskGroup() as self._readers,
                aclosing(self.pods.watch(self._selector)) as views,
            ):
                async for view in views:
                    self._see(view)
                    self._looked.set()
        except ExceptionGroup as several:
            self._error = several.exceptions[0]
        except Exception as error:
            self._error = error
        if not isinstance(self._error, Unavailable):
            _log.error("following %s failed", self._selector, exc_info=self._error)
        self._looked.set()
        for follower in self.followers:
            follower.close()

    def _see(self, view: dict[str, Pod]) -> None:
        changed = [pod for pod in view.values() if self.instances.get(pod.name) != pod]
        gone = [pod for name, pod in self.instances.items() if name not in view]
        self.instances = view
        for pod in changed:
            if pod.name in self._changes:
                self._changes[pod.name].set()
            elif self._is_read:
                self._read(pod.name, BEGINNING)
        if changed:
            self._tell(changed)
        for pod in gone:
            self._readers.create_task(self._let_go(pod))

    def _tell(self, items: list[Pod] | list[Line]) -> None:
        for follower in self.followers:
            follower.give(items)

    def _read(self, name: str, after: Place) -> None:
        self._places[name] = after
        for follower in self.followers:
            follower.behind[name] = after
        self._changes[name] = asyncio.Event()
        self._tasks[name] = self._readers.create_task(self._follow(name))

    async def _follow(self, name: str) -> None:
        pause, change = PAUSE_SECONDS, self._changes[name]
        while pod := self.instances.get(name):
            change.clear()
            if pod.has_run:
                log = read(self.pods, pod, self._places[name], follow=True)
                with suppress(Unavailable):
                    async with aclosing(log):
                        async for lines in log:
                            pause = PAUSE_SECONDS
                            self._places[name] = lines[-1].place
                            self._tell(lines)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause if pod.has_run else None):
                    await change.wait()
            pause = min(pause * 2, PAUSE_SECONDS_MAX)

    async def _let_go(self, pod: Pod) -> None:
        if reader := self._tasks.pop(pod.name, None):
            self._changes.pop(pod.name).set()
            await asyncio.wait([reader], timeout=LAST_LINES_SECONDS)
            reader.cancel()
        self._places.pop(pod.name, None)
        self._tell([replace(pod, state=InstanceState.GONE)])


class Feeds:
    """The feeds that somebody follows, or did a moment ago."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._tasks: dict[Feed, asyncio.Task[None]] = {}

    async def find(self, namespace: str, selector: str) -> Feed:
        """Return the one feed of these instances, to be followed soon; raises Unavailable."""
        key = namespace, selector
        if key not in self._feeds:
            feed = self._feeds[key] = Feed(self._access, namespace, selector)
            # A context of its own: it goes on when the request is over that it begins with.
            task = asyncio.get_running_loop().create_task(feed.run(), context=Context())
            task.add_done_callback(lambda _: self._forget(key))
            self._tasks[feed] = task
        feed = self._feeds[key]
        self._end_if_left(feed)
        await feed.looked()
        return feed

    @contextmanager
    def follow(self, feed: Feed) -> Iterator[Follower]:
        """Yield a follower of a feed."""
        follower = Follower()
        feed.followers.add(follower)
        try:
            yield follower
        finally:
            feed.followers.discard(follower)
            self._end_if_left(feed)

    def _end_if_left(self, feed: Feed) -> None:
        def end() -> None:
            if not feed.followers and feed in self._tasks:
                self._tasks[feed].cancel()

        asyncio.get_running_loop().call_later(LEFT_SECONDS, end)

    def _forget(self, key: tuple[str, str]) -> None:
        del self._tasks[self._feeds.pop(key)]

"""The answer of the function `logs`: one stream per request, and what all of a process share."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import ClassVar

import anyio
from sse_starlette import EventSourceResponse
from starlette.requests import Request

from maxcloud.errors import InvalidField, NotFound, Unavailable
from maxcloud.instances import Instance, LogEntry
from maxcloud.knative import kubeconfig
from maxcloud.knative.kubeconfig import Access
from maxcloud.knative.pods import Pod, Pods, selector
from maxcloud.logs import last, sse
from maxcloud.logs.feed import Feed, Feeds, Follower
from maxcloud.logs.last import Last
from maxcloud.logs.places import Cursor, Sent
from maxcloud.logs.query import LogsQuery
from maxcloud.logs.stream import backlog, entries, following, instances
from maxcloud.models import ServiceStatus
from maxcloud.store import services as rows
from maxcloud.store.database import Database
from maxcloud.store.services import ServiceRow

# Knative cuts a request after timeoutSeconds (this function's: 600); earlier, clients are told.
STREAM_SECONDS = 570

# How long the farewells may take when the function ends, within the runtime's DRAIN_SECONDS.
FAREWELL_SECONDS = 5

# So that no proxy takes a silent stream for a dead one.
PING_SECONDS = 15

# How often it is looked whether a service that has no instances is still there.
LOOK_SECONDS = 15

# How many requests look for their last lines at a time: each keeps the places of so many.
SEARCHES = 8

_log = logging.getLogger(__name__)


class LogStream(EventSourceResponse):
    """The answer; an event without data among these is `end` or `farewell`."""

    media_type = "text/event-stream"
    events: ClassVar = {"log": LogEntry, "instance": Instance}


@dataclass(frozen=True)
class Wanted:
    """What a request is about; `sent` is the cursor that it resumes from."""

    db: Database
    row: ServiceRow
    namespace: str
    query: LogsQuery
    sent: Sent | None

    @property
    def selector(self) -> str:
        """Which pods are its instances."""
        return selector(self.row.name, self.query.revision)

    async def is_deleted(self) -> bool:
        """Tell whether the service goes or is gone."""
        try:
            row = await rows.get(self.db, self.row.org_id, str(self.row.id))
        except NotFound:
            return True
        except Unavailable:
            return False
        return row.status == ServiceStatus.DELETING


class Streams:
    """The streams of one process: they share what is read of an instance while it is followed."""

    def __init__(self, access: Access) -> None:
        self.feeds = Feeds(access)
        self._access = access
        self._searches = asyncio.Semaphore(SEARCHES)

    @classmethod
    def of(cls, request: Request) -> "Streams":
        """Return those of the process that serves a request; ConfigError without a cluster."""
        state = request.app.state
        if not hasattr(state, "logs"):
            state.logs = cls(kubeconfig.find(os.environ))
        found: Streams = state.logs
        return found

    async def answer(self, wanted: Wanted) -> LogStream:
        """Return the stream; what cannot be read is refused before it begins, by Unavailable."""
        leaving = anyio.Event()
        if wanted.query.follow:
            feed = await self.feeds.find(wanted.namespace, wanted.selector)
            body = self._follow(wanted, feed, leaving)
        else:
            async with Pods.connect(self._access, wanted.namespace) as pods:
                body = self._show(wanted, await pods.list(wanted.selector))
        return LogStream(
            _to_the_end(body),
            ping=PING_SECONDS,
            sep="\n",
            shutdown_event=leaving,
            shutdown_grace_period=FAREWELL_SECONDS,
        )

    async def _start(self, wanted: Wanted, pods: Pods, found: dict[str, Pod]) -> Last:
        """Return from where on to read, and with which lines."""
        if wanted.sent is not None:
            return Last(wanted.sent.among(found), None)
        async with self._searches:
            since = wanted.query.since_time()
            return await last.find(pods, found.values(), wanted.query.tail, since)

    async def _show(self, wanted: Wanted, found: dict[str, Pod]) -> AsyncGenerator[bytes, None]:
        """Yield what there is."""
        async with Pods.connect(self._access, wanted.namespace) as pods:
            is_about_instances = wanted.query.tail == 0 and wanted.sent is None
            start = (
                Last(Cursor(), []) if is_about_instances else await self._start(wanted, pods, found)
            )
            yield sse.opening(start.cursor)
            for chunk in sse.written(instances(found)):
                yield chunk
            if start.lines is not None:
                for chunk in sse.written(entries(start.lines, start.cursor)):
                    yield chunk
            else:
                async with aclosing(backlog(pods, found, start.cursor)) as portions:
                    async for portion in portions:
                        for chunk in sse.written(portion):
                            yield chunk
        yield sse.END

    async def _follow(
        self, wanted: Wanted, feed: Feed, leaving: anyio.Event
    ) -> AsyncGenerator[bytes, None]:
        """Yield what there is, and what comes until the service is deleted or somebody ends it."""
        with self.feeds.follow(feed) as follower:

            async def close_if_deleted() -> None:
                if not feed.instances and await wanted.is_deleted():
                    follower.close()

            with _looked_after(follower, leaving, close_if_deleted):
                feed.begin(follower)
                start = await self._start(wanted, feed.pods, feed.instances)
                yield sse.opening(start.cursor)
                events = following(feed, follower, start.cursor, start.lines)
                async with aclosing(events) as portions:
                    async for portion in portions:
                        for chunk in sse.written(portion):
                            yield chunk
                        if sse.has_gone(portion):
                            await close_if_deleted()
        yield sse.END if await wanted.is_deleted() else sse.FAREWELL


def sent_with(request: Request) -> Sent | None:
    """Return the cursor that a request resumes from; raises InvalidField for one that is none."""
    header = request.headers.get("last-event-id")
    if not header:
        return None
    try:
        return Cursor.read(header)
    except ValueError as error:
        said = "Last-Event-ID must be an id of this stream"
        raise InvalidField(said, field="Last-Event-ID") from error


@contextmanager
def _looked_after(
    follower: Follower, leaving: anyio.Event, look: Callable[[], Awaitable[None]]
) -> Iterator[None]:
    """Close a follower when the function ends, and before Knative would cut it; look at times."""

    async def close_when_leaving() -> None:
        await leaving.wait()
        follower.close()

    async def look_at_times() -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await look()

    loop = asyncio.get_running_loop()
    timer = loop.call_later(STREAM_SECONDS, follower.close)
    tasks = [loop.create_task(close_when_leaving()), loop.create_task(look_at_times())]
    try:
        yield
    finally:
        timer.cancel()
        for task in tasks:
            task.cancel()


async def _to_the_end(body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield a stream; one that fails ends with a farewell, for its status has been sent."""
    try:
        async with aclosing(body) as chunks:
            async for chunk in chunks:
                yield chunk
                # So that others come on, and it is heard that a client has left.
                await asyncio.sleep(0)
    except Unavailable:
        yield sse.FAREWELL
    except Exception:
        _log.exception("the stream failed")
        yield sse.FAREWELL

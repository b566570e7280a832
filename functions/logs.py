"""Logs: what the instances of a service write, as server-sent events.

`log` is a line, with the id that `Last-Event-ID` resumes from; `instance` says that one is there,
becomes ready or goes. `end`: there is no more; `farewell`: the next connection goes on.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import anyio
from functions_framework.aio import http
from sse_starlette import EventSourceResponse
from starlette.requests import Request

from maxcloud.errors import InvalidField, NotFound, Unavailable
from maxcloud.http import Api, Call
from maxcloud.knative import kubeconfig
from maxcloud.knative.kubeconfig import Access
from maxcloud.knative.pods import Pod, Pods, selector
from maxcloud.logs import last, sse
from maxcloud.logs.feed import Feed, Feeds, Follower
from maxcloud.logs.last import Last
from maxcloud.logs.places import Cursor, Sent
from maxcloud.logs.query import LogsQuery
from maxcloud.logs.stream import backlog, entries, following, instances
from maxcloud.models import Instance, LogEntry, Role, ServiceStatus
from maxcloud.store import revisions
from maxcloud.store import services as rows

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

api = Api("logs")


class LogStream(EventSourceResponse):
    """The answer; an event without data among these is `end` or `farewell`."""

    media_type = "text/event-stream"
    events: ClassVar = {"log": LogEntry, "instance": Instance}


@http
async def logs(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.get("/api/v1/logs/{id}", Role.READ)
async def stream_logs(call: Call, query: LogsQuery) -> LogStream:
    """Show what a service's instances wrote, and with `follow` what they write from now on."""
    return await _stream(call, query)


@api.get("/api/v1/services/{id}/logs", Role.READ)
async def stream_logs_of_service(call: Call, query: LogsQuery) -> LogStream:
    """Show the same to who accepts `text/event-stream`, and nothing else."""
    return await _stream(call, query)


async def _stream(call: Call, query: LogsQuery) -> LogStream:
    row = await rows.get(call.db, call.org_id, call.parameter("id"))
    if query.revision and not await revisions.named(call.db, row, {query.revision}):
        raise InvalidField("revision is not one of this service's", field="revision")
    wanted = Wanted(
        call,
        row,
        query,
        call.config.namespace_of(row.org_id),
        selector(row.name, query.revision),
        _sent(call.request),
    )
    shared, leaving = _shared(call), anyio.Event()
    # What cannot be read is refused before the stream begins.
    if query.follow:
        feed = await shared.feeds.find(wanted.namespace, wanted.selector)
        body = _follow(wanted, feed, leaving)
    else:
        async with Pods.connect(shared.access, wanted.namespace) as pods:
            body = _show(wanted, await pods.list(wanted.selector))
    return LogStream(
        _to_the_end(body),
        ping=PING_SECONDS,
        sep="\n",
        shutdown_event=leaving,
        shutdown_grace_period=FAREWELL_SECONDS,
    )


@dataclass(frozen=True)
class Wanted:
    """What a request is about; `sent` is the cursor that it resumes from."""

    call: Call
    row: rows.ServiceRow
    query: LogsQuery
    namespace: str
    selector: str
    sent: Sent | None

    async def start(self, pods: Pods, found: dict[str, Pod]) -> Last:
        """Return from where on to read, and with which lines."""
        if self.sent is not None:
            return Last(self.sent.among(found), None)
        async with _shared(self.call).searches:
            since = self.query.since_time()
            return await last.find(pods, found.values(), self.query.tail, since)

    async def is_deleted(self) -> bool:
        """Tell whether the service goes or is gone."""
        try:
            row = await rows.get(self.call.db, self.row.org_id, str(self.row.id))
        except NotFound:
            return True
        except Unavailable:
            return False
        return row.status == ServiceStatus.DELETING


@dataclass
class Shared:
    """What the requests to one process have in common."""

    access: Access
    feeds: Feeds
    searches: asyncio.Semaphore


def _shared(call: Call) -> Shared:
    state = call.request.app.state
    if not hasattr(state, "logs"):
        access = kubeconfig.find(os.environ)
        state.logs = Shared(access, Feeds(access), asyncio.Semaphore(SEARCHES))
    shared: Shared = state.logs
    return shared


def _sent(request: Request) -> Sent | None:
    header = request.headers.get("last-event-id")
    if not header:
        return None
    try:
        return Cursor.read(header)
    except ValueError as error:
        said = "Last-Event-ID must be an id of this stream"
        raise InvalidField(said, field="Last-Event-ID") from error


async def _show(wanted: Wanted, found: dict[str, Pod]) -> AsyncGenerator[bytes, None]:
    """Yield what there is."""
    async with Pods.connect(_shared(wanted.call).access, wanted.namespace) as pods:
        is_about_instances = wanted.query.tail == 0 and wanted.sent is None
        start = Last(Cursor(), []) if is_about_instances else await wanted.start(pods, found)
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


async def _follow(wanted: Wanted, feed: Feed, leaving: anyio.Event) -> AsyncGenerator[bytes, None]:
    """Yield what there is, and what comes until the service is deleted or somebody ends it."""
    with _shared(wanted.call).feeds.follow(feed) as follower:

        async def close_if_deleted() -> None:
            if not feed.instances and await wanted.is_deleted():
                follower.close()

        with _looked_after(follower, leaving, close_if_deleted):
            feed.begin(follower)
            start = await wanted.start(feed.pods, feed.instances)
            yield sse.opening(start.cursor)
            events = following(feed, follower, start.cursor, start.lines)
            async with aclosing(events) as portions:
                async for portion in portions:
                    for chunk in sse.written(portion):
                        yield chunk
                    if sse.has_gone(portion):
                        await close_if_deleted()
    yield sse.END if await wanted.is_deleted() else sse.FAREWELL


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

"""Server-sent events: how a stream of logs looks on the wire (WHATWG HTML, section 9.2). Pure."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from sse_starlette import ServerSentEvent

from maxcloud.instances import Instance, InstanceState, LogEntry
from maxcloud.logs.lines import Line
from maxcloud.logs.places import Cursor
from maxcloud.logs.stream import Entry, Event

# What is written at once: a slow reader holds hardly more of it.
WRITE_BYTES = 64 * 1024

RETRY_MILLISECONDS = 1000

# The last event of a stream: there is no more, or the next connection goes on.
END = ServerSentEvent("{}", event="end", sep="\n").encode()
FAREWELL = ServerSentEvent("{}", event="farewell", sep="\n").encode()

_EPOCH = datetime.fromtimestamp(0, UTC)


def opening(cursor: Cursor) -> bytes:
    """Return how a stream begins: with an id, so that one without a line is resumed as well."""
    return ServerSentEvent(id=str(cursor), retry=RETRY_MILLISECONDS, sep="\n").encode()


def written(events: Iterable[Event]) -> Iterator[bytes]:
    """Yield events, some at a time."""
    waiting, size = [], 0
    for event in events:
        waiting.append(_of(event))
        size += len(waiting[-1])
        if size > WRITE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def has_gone(events: Iterable[Event]) -> bool:
    """Tell whether one of them says that an instance is gone."""
    return any(isinstance(each, Instance) and each.state == InstanceState.GONE for each in events)


def _of(event: Event) -> bytes:
    if isinstance(event, Entry):
        data = _log_entry(event.line).model_dump_json()
        return ServerSentEvent(data, event="log", id=event.cursor, sep="\n").encode()
    return ServerSentEvent(event.model_dump_json(), event="instance", sep="\n").encode()


def _log_entry(line: Line) -> LogEntry:
    return LogEntry(
        timestamp=_EPOCH + timedelta(microseconds=line.time // 1000),
        message=line.text,
        stream=line.stream,
        revision=line.revision,
        instance=line.instance,
    )

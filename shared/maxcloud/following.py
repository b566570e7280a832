"""One stream of logs over as many connections as it takes; `maxcloud.client` makes them."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maxcloud.errors import MaxCloudError, Unavailable
from maxcloud.instances import Instance, LogEntry

if TYPE_CHECKING:
    from httpx_sse import ServerSentEvent

# Opens a connection that goes on after the event of this id; "" begins.
Connect = Callable[[str], AbstractContextManager[Iterator["ServerSentEvent"]]]

Trouble = tuple[type[MaxCloudError], ...]

# Between the attempts to connect again.
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.2, 10.0


@dataclass(frozen=True)
class Interruption:
    """The connection was lost, and is sought again; nothing that was written is lost by it."""

    error: MaxCloudError


LogEvent = LogEntry | Instance | Interruption


def follow(
    connect: Connect, at_first: Trouble, later: Trouble, patience: float
) -> Iterator[LogEvent]:
    """Yield what a stream says, until it comes to its end.

    `at_first` and `later`, when something was heard, are the errors that are worth another try.
    The last one is raised when there was nothing else for `patience` seconds.
    """
    last_id, pause = "", PAUSE_SECONDS
    hopeless_at = time.monotonic() + patience
    while True:
        try:
            with connect(last_id) as events:
                for event in events:
                    hopeless_at, pause = time.monotonic() + patience, PAUSE_SECONDS
                    last_id = event.id or last_id
                    if event.event == "end":
                        return
                    if event.event == "farewell":
                        break
                    if event.event == "log":
                        yield LogEntry.model_validate_json(event.data)
                    elif event.event == "instance":
                        yield Instance.model_validate_json(event.data)
                else:
                    raise Unavailable("the stream of logs was cut")
        except MaxCloudError as error:
            wait = max(pause, getattr(error, "retry_after", None) or 0)
            is_worth_it = isinstance(error, later if last_id else at_first)
            if not is_worth_it or time.monotonic() + wait > hopeless_at:
                raise
            yield Interruption(error)
            time.sleep(wait)
        else:
            time.sleep(pause)
        pause = min(pause * 2, PAUSE_SECONDS_MAX)

"""What instances wrote: the last lines of each, for `kubectl logs` and the function `logs`."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

LINES_KEPT = 5_000


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `stream` is stdout or stderr."""

    time: datetime
    stream: str
    text: str


class Log:
    """The lines of one instance, the oldest forgotten first."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=LINES_KEPT)
        self._written = 0
        self._ended = False
        self._news = asyncio.Event()

    def write(self, stream: str, text: str) -> None:
        """Keep a line, without its line break, as written now; no two have the same time."""
        now = datetime.now(UTC)
        if self._lines:
            now = max(now, self._lines[-1].time + timedelta(microseconds=1))
        self._lines.append(Line(now, stream, text))
        self._written += 1
        self._wake()

    def end(self) -> None:
        """Say that nothing more comes, so that followers end."""
        self._ended = True
        self._wake()

    def last(self, lines: int) -> list[Line]:
        """Return the newest lines, oldest first."""
        return list(self._lines)[-lines:] if lines else []

    async def read(
        self, *, follow: bool = False, tail: int | None = None, since: datetime | None = None
    ) -> AsyncIterator[list[Line]]:
        """Yield the lines kept, the last `tail` of them, then with `follow` the new ones."""
        kept = [line for line in self._lines if since is None or line.time >= since]
        position = self._written
        yield kept if tail is None else kept[max(0, len(kept) - tail) :]
        while follow:
            news = self._news
            missed = min(self._written - position, len(self._lines))
            position = self._written
            if missed:
                yield self.last(missed)
            if position != self._written:
                continue
            if self._ended:
                return
            await news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Logs:
    """The logs of the instances that exist, by namespace and pod."""

    def __init__(self) -> None:
        self._logs: dict[tuple[str, str], Log] = {}

    def open(self, namespace: str, pod: str) -> Log:
        """Return a new pod's log."""
        return self._logs.setdefault((namespace, pod), Log())

    def find(self, namespace: str, pod: str) -> Log | None:
        """Return a pod's log, or None."""
        return self._logs.get((namespace, pod))

    def drop(self, namespace: str, pod: str) -> None:
        """Forget a pod that is gone; who follows it comes to the end."""
        if log := self._logs.pop((namespace, pod), None):
            log.end()

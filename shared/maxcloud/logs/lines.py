"""From the bytes of a log to its lines, each with its place. Pure.

Kubernetes writes `TIME TEXT`, with nanoseconds; a server that tells the two outputs apart writes
`TIME STREAM TAG TEXT`, the form of a container runtime's own files.
"""

import functools
import re
from dataclasses import dataclass
from datetime import datetime

from maxcloud.logs.places import Place

# A longer line comes in pieces of this size, whoever wrote it: a container runtime's own limit,
# containerd's max_container_log_line_size.
PIECE_BYTES = 16 * 1024

_NANO = 1_000_000_000
_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d) ")
_STREAM = re.compile(rb"(stdout|stderr) \S+ ")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an instance, or a piece of a long one; `time` in nanoseconds since 1970."""

    instance: str
    revision: str
    time: int
    place: Place
    stream: str
    text: str


class Lines:
    """Takes what a server sends of one instance's log, and keeps no more than a piece of it.

    What stands before the first time is the rest of a line that began earlier, and is dropped; so
    is what has no end yet when the answer ends: who reads on gets all of it.
    """

    def __init__(self, instance: str, revision: str, *, names_streams: bool) -> None:
        self._instance, self._revision = instance, revision
        self._names_streams = names_streams
        self._rest = b""
        # Whether `_rest` goes on with a line, and that line's time and stream, where it has them.
        self._within = False
        self._head: tuple[int, str] | None = None
        self._newest, self._nth = 0, 0

    def take(self, chunk: bytes) -> list[Line]:
        """Return the lines and pieces that are complete with this chunk."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        found: list[Line] = []
        for line in lines:
            self._cut(line, found, ended=True)
        if len(self._rest) > PIECE_BYTES:
            self._rest = self._cut(self._rest, found, ended=False)
        return found

    def _cut(self, text: bytes, found: list[Line], *, ended: bool) -> bytes:
        """Append the pieces of a line to `found`; return what is left of one that goes on."""
        if not self._within:
            self._head, text = self._parse(text)
        while len(text) > PIECE_BYTES:
            end = PIECE_BYTES
            # Not within a character, RFC 3629; what is no UTF-8 is cut anywhere.
            while text[end] & 0xC0 == 0x80 and PIECE_BYTES - end < 3:  # noqa: PLR2004
                end -= 1
            self._add(text[:end], found)
            text = text[end:]
        self._within = not ended
        if not ended:
            return text
        self._add(text, found)
        return b""

    def _parse(self, line: bytes) -> tuple[tuple[int, str] | None, bytes]:
        time = _TIME.match(line)
        at = _nanoseconds(time) if time else None
        if time is None or at is None:
            return None, line
        stream = _STREAM.match(line, time.end()) if self._names_streams else None
        if stream is None:
            return (at, "stdout"), line[time.end() :]
        return (at, stream[1].decode()), line[stream.end() :]

    def _add(self, text: bytes, found: list[Line]) -> None:
        if self._head is None:
            return
        time, stream = self._head
        if time > self._newest:
            self._newest, self._nth = time, 0
        self._nth += 1
        place = Place(self._newest, self._nth)
        said = text.decode(errors="replace")
        found.append(Line(self._instance, self._revision, time, place, stream, said))


def _nanoseconds(time: re.Match[bytes]) -> int | None:
    seconds = _seconds(time[1], time[3])
    if seconds is None:
        return None
    return seconds * _NANO + int((time[2] or b"0").ljust(9, b"0"))


@functools.lru_cache(maxsize=64)
def _seconds(date: bytes, zone: bytes) -> int | None:
    try:
        seconds = round(datetime.fromisoformat((date + zone).decode()).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds if seconds >= 0 else None

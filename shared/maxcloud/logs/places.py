"""How far a reader has come in the log of each instance, and the short text that says so. Pure.

One time for all would not do: a line of a slow instance may come later and be older.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable
from typing import NamedTuple


class Place(NamedTuple):
    """Where a line stands in the log of one instance: places are ordered as the lines are.

    `time` (nanoseconds since 1970) is the newest up to this line, `nth` which one it is
    from the first of that time on. Times come twice, and go back a little, because a
    container's two outputs are stamped before they are written; so counted, each line has a place
    of its own, the same for everybody who reads from before that time on.
    """

    time: int
    nth: int


BEGINNING = Place(0, 0)

# What stands in front, so that a later form can be told from this one.
_FORM = b"\x01"
_RECORD = struct.Struct(">6sQI")


class Cursor:
    """The places of a reader, by instance; one that is missing is read from its beginning."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._records: dict[str, bytes] = {}

    def __getitem__(self, instance: str) -> Place:
        """Return the place that was reached."""
        return self._places.get(instance, BEGINNING)

    def __setitem__(self, instance: str, place: Place) -> None:
        """Come to a place."""
        self._places[instance] = place
        self._records[instance] = _RECORD.pack(_short(instance), *place)

    def forget(self, instance: str) -> None:
        """Let an instance go that is no more."""
        self._places.pop(instance, None)
        self._records.pop(instance, None)

    def __str__(self) -> str:
        """Return the text that `read` understands: some 24 characters for an instance."""
        whole = _FORM + b"".join(self._records.values())
        return base64.urlsafe_b64encode(whole).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> "Sent":
        """Return what a client sends back; raises ValueError for what no cursor said."""
        try:
            # Python skips what does not belong, unless it is told to check.
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            whole = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error) as error:
            raise ValueError("it is not base64") from error
        records = whole.removeprefix(_FORM)
        if not whole.startswith(_FORM) or len(records) % _RECORD.size:
            raise ValueError("it has another form")
        return Sent({short: Place(time, nth) for short, time, nth in _RECORD.iter_unpack(records)})


class Sent:
    """A cursor that came back: its instances have short names until they are looked up."""

    def __init__(self, places: dict[bytes, Place]) -> None:
        self._places = places

    def among(self, instances: Iterable[str]) -> Cursor:
        """Return the places of those instances that are still there."""
        cursor = Cursor()
        for instance in instances:
            if place := self._places.get(_short(instance)):
                cursor[instance] = place
        return cursor


def _short(instance: str) -> bytes:
    # Of a thousand instances two have the same 48 bits once in half a billion times.
    return hashlib.blake2s(instance.encode(), digest_size=6).digest()

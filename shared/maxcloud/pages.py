"""Lists in pages: `limit` and `cursor` in the query, the way to the next page in `Link`.

A page begins after a key (a name, a generation) and not at a position, so entries that come and
go meanwhile move none of the others: each that is there all the time is listed exactly once.
"""

import base64
import re
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from pydantic import TypeAdapter
from starlette.datastructures import QueryParams

from maxcloud.errors import InvalidField

# One page for nearly everybody, and a few hundred kilobytes at the most usual.
LIMIT_DEFAULT = 100
LIMIT_MAX = 500

PARAMETERS = ("limit", "cursor")

_LIMIT = re.compile(r"[0-9]{1,9}\Z")

Key = TypeVar("Key")
Row = TypeVar("Row")


@dataclass
class Page(Generic[Key]):
    """A part of a list, as a handler reads it: up to `limit` entries after the key `after`."""

    limit: int = LIMIT_DEFAULT
    after: Key | None = None
    last: Key | None = None  # where the next page goes on, when there is one

    @property
    def look_for(self) -> int:
        """How many rows to look for: one more than is shown tells whether another page follows."""
        return self.limit + 1

    def cut(self, found: Sequence[Row], key: Callable[[Row], Key]) -> Sequence[Row]:
        """Return those of the rows that are this page; they are sorted by `key`."""
        shown = found[: self.limit]
        if len(found) > self.limit:
            self.last = key(shown[-1])
        return shown


@dataclass(frozen=True)
class Pages(Generic[Key]):
    """How pages of lists with keys of this type are asked for."""

    key: TypeAdapter[Key]

    @classmethod
    def of(cls, page: Any) -> "Pages[Key]":
        """Return it for an annotation such as `Page[int]`."""
        [key] = typing.get_args(page)
        return cls(TypeAdapter(key))

    def asked(self, query: QueryParams) -> Page[Key]:
        """Return the page that a query asks for.

        Raises InvalidField, also for a parameter that a list does not know: a misspelt `cursor`
        would give the first page for ever.
        """
        for name in query:
            if name not in PARAMETERS:
                # The name is the caller's own: it is shown short.
                raise InvalidField(f"{name[:100]} is not a known parameter", field=name[:100])
        page: Page[Key] = Page()
        if (limit := query.get("limit")) is not None:
            page.limit = int(limit) if _LIMIT.match(limit) else 0
        if not 1 <= page.limit <= LIMIT_MAX:
            said = f"limit must be a whole number from 1 to {LIMIT_MAX}"
            raise InvalidField(said, field="limit")
        if (cursor := query.get("cursor")) is not None:
            page.after = self._read(cursor)
        return page

    def link(self, path: str, page: Page[Key]) -> str | None:
        """Return the Link header that leads from this page to the next; None from the last.

        It names no host: the one that a function sees is internal.
        """
        if page.last is None:
            return None
        query = urlencode({"cursor": self._written(page.last), "limit": page.limit})
        return f'<{quote(path)}?{query}>; rel="next"'

    def _written(self, key: Key) -> str:
        return base64.urlsafe_b64encode(self.key.dump_json(key)).decode().rstrip("=")

    def _read(self, cursor: str) -> Key:
        padded = cursor + "=" * (-len(cursor) % 4)
        try:
            text = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
            return self.key.validate_json(text)
        except ValueError as error:  # none of ASCII, of Base64, or of what such keys are
            said = "cursor must be one of a Link header: leave it out to begin anew"
            raise InvalidField(said, field="cursor") from error

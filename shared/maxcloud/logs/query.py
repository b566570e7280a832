"""What a caller may ask of the logs. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from maxcloud.bodies import Request

TAIL_DEFAULT, TAIL_MAX = 100, 10_000

_REVISION = re.compile(r"[a-z0-9-]{1,63}\Z", re.ASCII)
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SINCE = "must be a duration such as 10m or 1h30m, or a time such as 2026-11-22T12:00:00Z"


def time_of(since: str, now: datetime) -> datetime:
    """Return the time that a duration before `now`, or a time in RFC 3339, names.

    One that is still to come is `now`. Raises ValueError.
    """
    parts = _PART.findall(since)
    if parts and "".join(number + unit for number, unit in parts) == since:
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        return now - timedelta(seconds=min(seconds, now.timestamp()))
    try:
        # A plus in a query is a blank, unless it was written as %2B.
        found = datetime.fromisoformat(since.replace(" ", "+"))
    except ValueError:
        raise ValueError(_SINCE) from None
    if found.tzinfo is None or "T" not in since.upper():
        raise ValueError(_SINCE)
    return min(max(found, datetime.fromtimestamp(0, UTC)), now)


def _since(text: str) -> str:
    time_of(text, datetime.now(UTC))
    return text


def _flag(text: object) -> object:
    # `?follow` alone says yes; other words that pydantic knows for yes and no are no API.
    if text not in {"", "0", "1", "false", "true"}:
        raise ValueError("must be true or false")
    return text or "true"


def _revision(text: str) -> str:
    if not _REVISION.match(text):
        raise ValueError("is not the name of a revision")
    return text


class LogsQuery(Request):
    """The query of a request for logs.

    `tail` counts the lines of all instances together, and with `since` those since then.
    """

    model_config = ConfigDict(strict=False)

    follow: Annotated[bool, BeforeValidator(_flag)] = False
    tail: Annotated[int, Field(ge=0, le=TAIL_MAX)] = TAIL_DEFAULT
    since: Annotated[str, AfterValidator(_since)] | None = None
    revision: Annotated[str, AfterValidator(_revision)] | None = None

    def since_time(self) -> int | None:
        """Return the time before which nothing is wanted, in nanoseconds since 1970."""
        if self.since is None:
            return None
        elapsed = time_of(self.since, datetime.now(UTC)) - datetime.fromtimestamp(0, UTC)
        return elapsed // timedelta(microseconds=1) * 1000

"""What may be asked of the logs, and the time that `since` names."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from maxcloud.logs.query import LogsQuery, time_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "ago"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("1d", timedelta(days=1)),
        ("500ms", timedelta(milliseconds=500)),
        ("0s", timedelta()),
        ("2026-11-22T11:59:00Z", timedelta(minutes=1)),
        ("2026-11-22T11:59:00.5Z", timedelta(seconds=59.5)),
        ("2026-11-22t12:30:00+01:00", timedelta(minutes=30)),
        ("2026-11-22T12:30:00 01:00", timedelta(minutes=30)),  # a plus, as queries are read
        ("2026-11-22T13:00:00Z", timedelta()),  # still to come
        ("999999999d", NOW - datetime.fromtimestamp(0, UTC)),
        ("0001-01-01T00:00:00Z", NOW - datetime.fromtimestamp(0, UTC)),
    ],
)
def test_since_is_a_duration_or_a_time(since: str, ago: timedelta) -> None:
    assert time_of(since, NOW) == NOW - ago


WRONG = [
    "",
    "10",
    "m",
    "-5m",
    "5 m",
    "1e3s",
    "10m later",
    "2026-11-22",
    "2026-11-22T12:00:00",
    "now",
]


@pytest.mark.parametrize("since", [*WRONG, "9" * 5000 + "s", "\x00", "2026-13-01T00:00:00Z"])
def test_everything_else_is_refused(since: str) -> None:
    with pytest.raises(ValueError, match="must be a duration such as 10m"):
        time_of(since, NOW)


def test_what_is_not_asked_for_has_the_contracts_default() -> None:
    query = LogsQuery.model_validate({})
    assert (query.follow, query.tail, query.since_time(), query.revision) == (
        False,
        100,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("said", "follow"), [("", True), ("true", True), ("1", True), ("false", False), ("0", False)]
)
def test_follow_alone_is_a_yes(said: str, follow: bool) -> None:
    assert LogsQuery.model_validate({"follow": said}).follow is follow


@pytest.mark.parametrize(
    "sent",
    [
        *({"follow": word} for word in ("yes", "TRUE", "2", "\x00")),
        *({"tail": word} for word in ("", "-1", "10001", "1.5", "ten", "1" * 5000)),
        *({"since": word} for word in WRONG),
        *({"revision": word} for word in ("", "Shop", "a\x00", "a" * 64, "a b", "a\n")),
        {"limit": "1"},
    ],
)
def test_what_makes_no_sense_is_refused(sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        LogsQuery.model_validate(sent)
    assert refused.value.errors()[0]["loc"] == tuple(sent)


def test_the_time_is_in_nanoseconds() -> None:
    query = LogsQuery.model_validate({"since": "2026-11-22T12:00:00.000001Z"})
    assert query.since_time() == 1_795_348_800_000_001_000

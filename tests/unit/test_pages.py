"""Cursors and links, without a list behind them."""

import base64
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from starlette.datastructures import QueryParams

from maxcloud.errors import InvalidField
from maxcloud.fields import Ordinal, Text
from maxcloud.pages import LIMIT_DEFAULT, LIMIT_MAX, Page, Pages

NAMES: Pages[str] = Pages.of(Page[Text])
NUMBERS: Pages[int] = Pages.of(Page[Ordinal])
MOMENTS: Pages[tuple[datetime, UUID]] = Pages.of(Page[tuple[datetime, UUID]])


def asked(query: str, pages: Pages[Any] = NAMES) -> Page[Any]:
    return pages.asked(QueryParams(query))


def following(pages: Pages[Any], page: Page[Any]) -> str:
    """The query of the next page."""
    link = pages.link("/api/v1/things", page)
    assert link is not None
    found = re.fullmatch(r'<(/api/v1/things\?[\w=&%.-]+)>; rel="next"', link)
    assert found, link
    return urlsplit(found[1]).query


def written(text: bytes) -> str:
    return f"cursor={base64.urlsafe_b64encode(text).decode()}"


def test_without_a_query_it_is_the_first_page_of_the_usual_length() -> None:
    assert asked("") == Page(LIMIT_DEFAULT, None)


@pytest.mark.parametrize("limit", [1, 37, LIMIT_MAX])
def test_a_page_is_cut_where_it_was_asked_for(limit: int) -> None:
    page = asked(f"limit={limit}")
    found = list(range(page.look_for))
    assert page.cut(found, str) == found[:limit]
    assert page.last == str(limit - 1)


@pytest.mark.parametrize("count", [0, 1, 10])
def test_the_last_page_leads_nowhere(count: int) -> None:
    page = asked("limit=10")
    assert len(page.cut(range(count), str)) == count
    assert NAMES.link("/api/v1/things", page) is None


@pytest.mark.parametrize(
    ("pages", "key"),
    [
        (NAMES, "shop"),
        (NAMES, "grüß/dich?&=+ \U0001f4a9"),
        (NUMBERS, 1),
        (NUMBERS, 2**63 - 1),
        (MOMENTS, (datetime(2026, 1, 1, 1, 2, 3, 456789, UTC), UUID(int=7))),
    ],
)
def test_a_link_leads_to_where_the_page_ended(pages: Pages[Any], key: object) -> None:
    page = asked("limit=2", pages)
    page.cut([key] * 3, lambda each: each)
    query = following(pages, page)
    assert list(parse_qs(query)) == ["cursor", "limit"]
    assert asked(query, pages) == Page(2, key)


@pytest.mark.parametrize("limit", ["", "0", "501", "-1", "1.0", "1e2", "ten", " 1", "٣", "9" * 99])
def test_a_limit_that_is_none_is_refused(limit: str) -> None:
    with pytest.raises(InvalidField, match="from 1 to 500") as refused:
        asked(f"limit={limit}")
    assert refused.value.field == "limit"


@pytest.mark.parametrize(
    "query",
    [
        *("cursor=", "cursor=shop", "cursor=%00", "cursor=é", "cursor=a", "cursor=IiI%0A"),
        *map(written, (b'"', b"5", b"null", b"[]", b'"\\u0000"', b'"\\ud800"', b'"\xff"')),
        *map(written, (b'"' + b"x" * 40_000 + b'"', b"[" * 10_000)),
    ],
    ids=lambda query: query[:40],
)
def test_a_cursor_that_is_none_of_ours_is_refused(query: str) -> None:
    with pytest.raises(InvalidField, match="Link header") as refused:
        asked(query)
    assert refused.value.field == "cursor"


@pytest.mark.parametrize("text", [b'"shop"', b"0", b"-1", b"9223372036854775808", b"1.5", b"NaN"])
def test_a_cursor_of_another_kind_of_list_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidField) as refused:
        asked(written(text), NUMBERS)
    assert refused.value.field == "cursor"


def test_a_misspelt_parameter_is_refused() -> None:
    """It would give the first page for ever."""
    with pytest.raises(InvalidField, match="curser is not a known parameter") as refused:
        asked("limit=5&curser=abc")
    assert refused.value.field == "curser"

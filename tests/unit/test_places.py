"""Places in logs, and the text in which a client carries them."""

import base64

import pytest

from maxcloud.logs.places import BEGINNING, Cursor, Place

NOW = 1_764_000_000_123_456_789


def test_a_cursor_comes_back_as_it_was() -> None:
    cursor = Cursor()
    cursor["shop-00001-abcde"] = Place(NOW, 1)
    cursor["shop-00002-fghij"] = Place(NOW + 1, 70_000)
    cursor["shop-00001-abcde"] = Place(NOW + 2, 3)
    names = ["shop-00001-abcde", "shop-00002-fghij", "shop-00003-new"]
    back = Cursor.read(str(cursor)).among(names)
    assert [back[name] for name in names] == [Place(NOW + 2, 3), Place(NOW + 1, 70_000), BEGINNING]


def test_an_instance_that_is_gone_is_no_more_in_it() -> None:
    cursor = Cursor()
    cursor["a"], cursor["b"] = Place(1, 1), Place(2, 2)
    cursor.forget("a")
    cursor.forget("never there")
    assert cursor["a"] == BEGINNING
    assert str(Cursor.read(str(cursor)).among(["b"])) == str(cursor)
    assert Cursor.read(str(cursor)).among([])["b"] == BEGINNING


def test_a_cursor_without_a_place_is_a_text_too() -> None:
    assert str(Cursor())
    assert Cursor.read(str(Cursor())).among(["a"])["a"] == BEGINNING


def test_ten_instances_are_short_and_fit_in_a_header() -> None:
    cursor = Cursor()
    for number in range(10):
        cursor[f"shop-00001-{number}"] = Place(NOW, 2**32 - 1)
    assert len(str(cursor)) < 250
    assert str(cursor).isascii()
    assert not set(str(cursor)) & set("\r\n\0,; ")


@pytest.mark.parametrize(
    "text",
    ["x", "!", "AQ AQ", "A\u00e9", "Ag", "AQAA", "AQ" + "A" * 22, "AQ" + "A" * 25, "-"],
)
def test_what_no_cursor_said_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="it"):
        Cursor.read(text)


def test_places_are_ordered_as_the_lines_are() -> None:
    assert BEGINNING < Place(5, 0) < Place(5, 1) < Place(5, 2) < Place(6, 1)


def test_the_form_stands_in_front() -> None:
    assert base64.urlsafe_b64decode(str(Cursor()) + "==") == b"\x01"

"""From bytes to lines: whole, in pieces, out of order, and in any chunks."""

import pytest

from maxcloud.logs.lines import PIECE_BYTES, Line, Lines
from maxcloud.logs.places import Place

SECOND = 1_764_000_000_000_000_000  # 2025-11-24T16:00:00Z
STAMP = "2025-11-24T16:00:{:09.6f}000Z"


def lines_of(*chunks: bytes, names_streams: bool = False) -> list[Line]:
    lines = Lines("shop-00001-abcde", "shop-00001", names_streams=names_streams)
    return [line for chunk in chunks for line in lines.take(chunk)]


def at(seconds: float, text: str) -> bytes:
    return f"{STAMP.format(seconds)} {text}\n".encode()


def test_a_line_has_its_time_its_place_and_its_text() -> None:
    [line] = lines_of(b"2025-11-24T16:00:01.000000007Z hello  there\r\n")
    assert line == Line(
        *("shop-00001-abcde", "shop-00001", SECOND + 1_000_000_007),
        *(Place(SECOND + 1_000_000_007, 1), "stdout", "hello  there\r"),
    )


@pytest.mark.parametrize(
    ("time", "nanoseconds"),
    [
        ("2025-11-24T16:00:00Z", 0),
        ("2025-11-24T16:00:00.5Z", 500_000_000),
        ("2025-11-24T17:00:00.123456789+01:00", 123_456_789),
        ("2025-11-24T10:30:00.000000001-05:30", 1),
    ],
)
def test_times_of_any_zone_and_precision(time: str, nanoseconds: int) -> None:
    [line] = lines_of(f"{time} x\n".encode())
    assert line.time == SECOND + nanoseconds


def test_the_stream_is_told_where_the_server_names_it() -> None:
    sent = b"2025-11-24T16:00:00Z stderr F oh\n2025-11-24T16:00:01Z stdout F  stderr F \n"
    told = lines_of(sent, names_streams=True)
    assert [(line.stream, line.text) for line in told] == [
        ("stderr", "oh"),
        ("stdout", " stderr F "),
    ]
    assert [line.text for line in lines_of(sent)] == ["stderr F oh", "stdout F  stderr F "]


def test_equal_times_and_times_that_go_back_have_places_of_their_own() -> None:
    sent = [at(1, "a"), at(1, "b"), at(0.5, "c"), at(2, "d"), at(1.5, "e"), at(3, "f")]
    first, second, third = (SECOND + n * 1_000_000_000 for n in (1, 2, 3))
    wanted = [(first, 1), (first, 2), (first, 3), (second, 1), (second, 2), (third, 1)]
    assert [line.place for line in lines_of(*sent)] == wanted
    # Whoever begins with the newest time of a place, or before, counts the same.
    assert [line.place for line in lines_of(*sent[3:])] == wanted[3:]


def test_any_chunks_make_the_same_lines() -> None:
    sent = at(1, "grüße") + at(1, "") + at(2, "x" * 50) + at(3, "\N{SNOWMAN}" * 9)
    whole = lines_of(sent)
    assert [line.text for line in whole] == ["grüße", "", "x" * 50, "\N{SNOWMAN}" * 9]
    for size in (1, 2, 3, 7, 40, len(sent)):
        assert lines_of(*(sent[i : i + size] for i in range(0, len(sent), size))) == whole


@pytest.mark.parametrize("character", ["x", "ü", "\N{SNOWMAN}", "\N{PILE OF POO}"])
def test_a_long_line_comes_in_pieces_and_little_of_it_is_kept(character: str) -> None:
    long = character * (2**20 // len(character.encode()))
    sent = at(1, long) + at(2, "next")
    for size in (1000, 4096, 65536, len(sent)):
        lines = Lines("i", "r", names_streams=False)
        found = []
        for start in range(0, len(sent), size):
            found += lines.take(sent[start : start + size])
            assert len(lines._rest) <= PIECE_BYTES + 64
        *pieces, following = found
        assert "".join(piece.text for piece in pieces) == long
        assert max(len(piece.text.encode()) for piece in pieces) <= PIECE_BYTES
        assert [piece.place.nth for piece in pieces] == list(range(1, len(pieces) + 1))
        assert {piece.time for piece in pieces} == {SECOND + 1_000_000_000}
        assert following.text == "next"


def test_what_is_no_utf_8_is_shown_as_far_as_it_can_be() -> None:
    assert lines_of(at(1, "a")[:-2] + b"\xff\xfeb\n")[0].text == "\ufffd\ufffdb"
    pieces = lines_of(STAMP.format(1).encode() + b" " + b"\x80" * (PIECE_BYTES * 2) + b"\n")
    assert "".join(piece.text for piece in pieces) == "\ufffd" * PIECE_BYTES * 2


def test_the_rest_of_a_line_that_began_before_is_dropped() -> None:
    """The kubelet gives such a rest when `sinceTime` falls within a line that it keeps in parts."""
    rest = b"y" * (3 * PIECE_BYTES) + b"\n"
    assert [line.text for line in lines_of(rest, at(1, "whole"))] == ["whole"]
    for chunk in (10, 5000, 20_000):
        chunks = [rest[i : i + chunk] for i in range(0, len(rest), chunk)]
        assert [line.text for line in lines_of(*chunks, at(1, "whole"))] == ["whole"]
    assert [line.text for line in lines_of(b"9999-99-99T99:99:99Z no time\n", at(1, "x"))] == ["x"]
    assert lines_of(b"0001-01-01T00:00:00Z before all time\n") == []


def test_a_line_without_an_end_is_not_there_yet() -> None:
    assert lines_of(at(1, "done") + at(2, "not yet")[:-1]) == lines_of(at(1, "done"))

import pytest

from maxcloud import wire
from tests.functions.support import is_uuid


@pytest.mark.parametrize("sent", ["a", "x" * 64, "req-1.2_3"])
def test_a_plain_word_is_kept_as_a_request_id(sent: str) -> None:
    assert wire.valid_request_id(sent) == sent


@pytest.mark.parametrize("sent", [None, "", "x" * 65, "a b", "a\n", "\u00e9", "a\x00", "{}"])
def test_anything_else_is_replaced_so_that_every_header_can_carry_it(sent: str | None) -> None:
    assert is_uuid(wire.valid_request_id(sent))

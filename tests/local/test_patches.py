"""Merge patches."""

from typing import Any

import pytest

from maxcloud_local.kubernetes.patches import patched
from maxcloud_local.kubernetes.refusals import UnsupportedMediaType


@pytest.mark.parametrize(
    ("live", "patch", "result"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({}, {"a": None}, {}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": 3}}, {"a": {"c": 2, "d": 3}}),
        ({"a": 1}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
    ],
)
def test_a_patch(live: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]) -> None:
    before = str(live)
    assert patched(live, patch) == result
    assert str(live) == before


@pytest.mark.parametrize(
    "patch", [{"$patch": "replace"}, {"spec": {"$setElementOrder/ports": [{"port": 80}]}}]
)
def test_what_only_a_strategic_patch_can_say_is_refused(patch: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedMediaType):
        patched({}, patch)

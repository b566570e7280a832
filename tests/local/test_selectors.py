"""Which objects a selector means."""

import pytest

from maxcloud_local.kubernetes.refusals import BadRequest
from maxcloud_local.kubernetes.selectors import selection

WEB = {"metadata": {"name": "web", "namespace": "shop", "labels": {"tier": "web", "empty": ""}}}


@pytest.mark.parametrize(
    ("selector", "is_meant"),
    [
        ("", True),
        (" ", True),
        ("tier", True),
        ("side", False),
        ("!tier", False),
        ("! side", True),
        ("tier=web", True),
        ("tier = web", True),
        ("tier==web", True),
        ("tier=db", False),
        ("tier!=web", False),
        ("side!=web", True),
        ("empty=", True),
        ("side=", False),
        ("tier in (web, db)", True),
        ("tier in (db)", False),
        ("tier notin (db,cache)", True),
        ("tier notin (web)", False),
        ("side notin (web)", True),
        ("side in ()", False),
        ("tier in (web),empty", True),
        ("tier=web,side", False),
        ("tier in (web,db),tier!=db , !side", True),
    ],
)
def test_a_label_selector(selector: str, is_meant: bool) -> None:
    assert selection(selector, "")(WEB) is is_meant


@pytest.mark.parametrize(
    ("selector", "is_meant"),
    [
        ("", True),
        ("metadata.name=web", True),
        ("metadata.name==web,metadata.namespace=shop", True),
        ("metadata.name!=web", False),
        ("metadata.namespace!=other", True),
        ("metadata.name=", False),
    ],
)
def test_a_field_selector(selector: str, is_meant: bool) -> None:
    assert selection("", selector)(WEB) is is_meant


def test_an_object_without_a_namespace_is_in_none() -> None:
    here = {"metadata": {"name": "shop"}}
    assert not selection("", "metadata.namespace=default")(here)


@pytest.mark.parametrize(
    "selector",
    [
        *("=", ",", "tier,", ",tier", "tier=web=db", "tier=we b", "-tier", "tier=-"),
        *("tier in", "tier in web", "tier in (web", "tier in (w(e)b)", "tier>1", "!tier=web"),
        *("tierin(web)", "tier=w\u00e9b", "a" + "(" * 5000),
    ],
)
def test_what_is_no_label_selector(selector: str) -> None:
    with pytest.raises(BadRequest):
        selection(selector, "")


@pytest.mark.parametrize("selector", ["status.phase=Running", "metadata.name", ",", "=web"])
def test_what_is_no_field_selector_here(selector: str) -> None:
    with pytest.raises(BadRequest):
        selection("", selector)

import uuid

import pytest

from maxcloud import names

# tests/functions/test_validation.py has the whole table of names, over HTTP.


@pytest.mark.parametrize("name", ["a", "a1", "a-b", "x" * 40, "deadbeef", "f" * 31])
def test_a_dns_label_is_a_name(name: str) -> None:
    assert names.why_not_a_name(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "must have 1 to 40 characters"),
        ("x" * 41, "must have 1 to 40 characters"),
        ("a\n", "must be lower-case letters, digits and hyphens, starting with a letter"),
        ("a--b", "must not contain '--', which separates a tag from a name in host names"),
        ("a" * 32, "must not look like an id"),
        ("abcdef01-2345-4789-8abc-def012345678", "must not look like an id"),
        ("registry", "'registry' is reserved for the platform; choose another name"),
    ],
)
def test_what_is_no_name_is_told_why(name: str, why: str) -> None:
    assert names.why_not_a_name(name) == why


def test_a_functions_name_is_looked_for_though_it_is_reserved() -> None:
    assert all(names.may_be_a_name(name) for name in names.RESERVED_NAMES)
    assert not any(
        names.may_be_a_name(text) for text in ("", "a--b", "A", "a\n", "a\x00", "x" * 41)
    )


def test_no_id_is_a_name_and_no_name_an_id() -> None:
    for _ in range(1000):
        id = uuid.uuid4()
        for spelt in (str(id), id.hex):
            assert names.why_not_a_name(spelt) is not None
        assert names.as_id(str(id)) == id


@pytest.mark.parametrize(
    "text", ["", "shop", "0" * 32, f"{uuid.uuid4()}\n", str(uuid.uuid4()).upper() + "A"]
)
def test_an_id_has_one_spelling(text: str) -> None:
    assert names.as_id(text) is None


@pytest.mark.parametrize(
    ("domain", "host", "url"),
    [
        ("maxcloud.dev", "shop.maxcloud.dev", "https://shop.maxcloud.dev"),
        ("localhost:8080", "shop.localhost", "http://shop.localhost:8080"),
        ("a.localhost", "shop.a.localhost", "http://shop.a.localhost"),
        ("notlocalhost", "shop.notlocalhost", "https://shop.notlocalhost"),
    ],
)
def test_hosts_and_addresses(domain: str, host: str, url: str) -> None:
    assert (names.host("shop", domain), names.url("shop", domain)) == (host, url)


def test_a_revision_is_named_after_its_generation() -> None:
    assert names.revision_name("shop", 7) == "shop-00007"
    # The longest name's revision is still a DNS label.
    assert len(names.revision_name("x" * names.NAME_MAX, 10**9)) < 63

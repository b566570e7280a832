import hashlib
import hmac

import pytest

from maxcloud import keys

SECRET, OTHER = "s" * 32, "o" * 32


def test_a_key_is_found_by_its_prefix() -> None:
    key = keys.make()
    prefix = keys.prefix_of(key)
    assert prefix is not None
    assert key.startswith(f"{prefix}_")
    assert prefix.startswith("mc_")
    assert len(key) == 75


def test_keys_differ() -> None:
    made = [keys.make() for _ in range(1000)]
    assert len({keys.prefix_of(key) for key in made}) == len(set(made)) == 1000


@pytest.mark.parametrize("position", range(75))
def test_one_changed_character_is_noticed(position: int) -> None:
    key = keys.make()
    other = "a" if key[position] != "a" else "b"
    assert keys.prefix_of(key[:position] + other + key[position + 1 :]) is None


@pytest.mark.parametrize("text", ["", "mc_", "mc_made_up", "é" * 75, "mc_" + "a" * 72])
def test_other_text_is_no_key(text: str) -> None:
    assert keys.prefix_of(text) is None


@pytest.mark.parametrize("around", ["{}\n", " {}", "{}a", "{}\x00"])
def test_a_key_with_something_around_it_is_none(around: str) -> None:
    assert keys.prefix_of(around.format(keys.make())) is None


def test_a_digest_proves_its_key_under_each_secret_and_no_other_key() -> None:
    key = keys.make()
    kept = keys.digest(key, OTHER)
    assert keys.proves(key, kept, [SECRET, OTHER])
    assert not keys.proves(key, kept, [SECRET])
    assert not keys.proves(keys.make(), kept, [SECRET, OTHER])
    assert not keys.proves(key, kept, [])


def test_the_derivation_is_hkdf() -> None:
    """RFC 5869, section 2, written as it stands there; its info is ours."""
    extracted = hmac.new(b"\x00" * 32, SECRET.encode(), hashlib.sha256).digest()
    expanded = hmac.new(extracted, b"maxcloud/api-keys" + b"\x01", hashlib.sha256).digest()
    assert keys.derived(SECRET, "api-keys") == expanded
    assert keys.derived(SECRET, "api-keys") != keys.derived(SECRET, "invitations")

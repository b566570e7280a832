"""API keys: how one is made, told from other text, and proven without being kept. Pure.

A key is `mc_<prefix>_<secret><checksum>`. The prefix is public and finds the row, the secret is
32 random bytes, and the checksum tells a mistyped or invented key without asking the database.
A row keeps an HMAC under a secret of the platform's own. A slow hash would add nothing: it is for
secrets that can be guessed.
"""

import base64
import functools
import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Iterable

SECRET_BYTES = 32

_KEY = re.compile(r"(mc_[a-z2-7]{12})_[a-z2-7]{59}\Z", re.ASCII)
_CHECKSUM_CHARACTERS = 7


def make() -> str:
    """Return a new key."""
    prefix, secret = _text(secrets.token_bytes(8))[:12], _text(secrets.token_bytes(SECRET_BYTES))
    body = f"mc_{prefix}_{secret}"
    return body + _checksum(body)


def prefix_of(text: str) -> str | None:
    """Return the public prefix of a key, or None for what no key of ours can be."""
    found = _KEY.match(text)
    body, checksum = text[:-_CHECKSUM_CHARACTERS], text[-_CHECKSUM_CHARACTERS:]
    return found[1] if found and checksum == _checksum(body) else None


def digest(key: str, secret: str) -> bytes:
    """Return what a row keeps of a key."""
    return hmac.digest(derived(secret, "api-keys"), key.encode(), "sha256")


def proves(key: str, kept: bytes, secrets: Iterable[str]) -> bool:
    """Tell whether a key is the one whose digest was kept under one of the secrets.

    Takes the same time whichever byte differs.
    """
    return any(hmac.compare_digest(digest(key, secret), kept) for secret in secrets)


@functools.cache
def derived(secret: str, purpose: str) -> bytes:
    """Return the key for one purpose: HKDF with SHA-256 (RFC 5869), one block, without salt.

    Written out, because the library that has it takes longer to load than the function to start.
    """
    extracted = hmac.digest(bytes(hashlib.sha256().digest_size), secret.encode(), "sha256")
    return hmac.digest(extracted, f"maxcloud/{purpose}\x01".encode(), "sha256")


def _checksum(body: str) -> str:
    return _text(zlib.crc32(body.encode()).to_bytes(4, "big"))


def _text(content: bytes) -> str:
    return base64.b32encode(content).decode().rstrip("=").lower()

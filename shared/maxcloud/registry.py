"""The registry's tokens: who may do what with a repository, signed as Distribution wants it.

Distribution v3 takes no shared secret: tokens are ES256, and it knows the public half of the key
as JWKS (`python -m maxcloud.registry` prints it). Pure. Sources: the distribution project's "Token
Authentication Specification" and "Token Scope Documentation"; RFC 7638 for the name of a key.
"""

import base64
import functools
import hashlib
import hmac
import json
import os
import re
import sys
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from maxcloud import keys, names
from maxcloud.config import registry_secrets
from maxcloud.errors import ConfigError

ISSUER = "maxcloud"

PULL, PUSH, DELETE = "pull", "push", "delete"
READING, WRITING = (PULL,), (PULL, PUSH, DELETE)

# Who pulls for the nodes; the word stands in Distribution's log.
ROBOT = "robot"

# A pull key is made anew after one term and good for two: a node that reads an old secret still
# pulls.
PULL_KEY_SECONDS = 30 * 24 * 3600

_ALGORITHM = "ES256"
_PULL_KEY_ALGORITHM = "HS256"

# The order of P-256 (SEC 2, section 2.4.2) and how many bytes make a number below it without a
# bias (FIPS 186-5, A.2.1: 64 bits more).
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SEED_BYTES = 40

# A repository's name, of at most 255 characters (distribution/reference, regexp.go).
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*\Z")
_REPOSITORY_MAX = 255

# What a tag is (OCI distribution specification, "Pulling manifests").
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")


@dataclass(frozen=True, slots=True)
class Access:
    """What a token lets its bearer do with one repository."""

    name: str
    actions: tuple[str, ...]
    type: str = "repository"


def repository(org_id: UUID, name: str) -> str:
    """Return the repository that an organisation's image of this name is in."""
    return f"{org_id}/{name}"


def owner_of(repository: str) -> tuple[UUID, str] | None:
    """Return the organisation of a repository and its name there; None for what is nobody's."""
    owner, _, name = repository.partition("/")
    org_id = names.as_id(owner)
    is_one = len(repository) <= _REPOSITORY_MAX and _REPOSITORY.match(name)
    return (org_id, name) if org_id and is_one else None


def is_tag(text: str) -> bool:
    """Tell whether a tag may be called so."""
    return _TAG.match(text) is not None


def granted(scopes: Iterable[str], org_id: UUID, allowed: Sequence[str]) -> list[Access]:
    """Return what is granted of what is asked for: repositories of one organisation, no more.

    A scope is `repository:name:action,…`, and one text may hold several with blanks between them.
    `*` asks for all that is allowed. What is empty, unknown or malformed grants nothing.
    """
    found: dict[str, set[str]] = {}
    for scope in (each for text in scopes for each in text.split(" ")):
        type, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        owner = owner_of(name)
        if type == "repository" and owner and owner[0] == org_id:
            asked = set(actions.split(","))
            found.setdefault(name, set()).update(allowed if "*" in asked else asked & set(allowed))
    # In the order of `allowed`, so that the same question has the same answer.
    ordered = {name: tuple(a for a in allowed if a in actions) for name, actions in found.items()}
    return [Access(name, actions) for name, actions in ordered.items() if actions]


def token(
    secrets: Sequence[str],
    audience: str,
    subject: str,
    access: Iterable[Access],
    *,
    at: int,
    seconds: int,
) -> str:
    """Return a token for Distribution, signed with the first of the secrets' keys.

    `at` is now in seconds since 1970, `audience` the registry's name.
    """
    key = _signing_key(secrets[0])
    claims = {
        "iss": ISSUER,
        "sub": subject,
        "aud": audience,
        "iat": at,
        "nbf": at,
        "exp": at + seconds,  # whole numbers: Distribution reads no others
        "jti": str(uuid.uuid4()),
        "access": [
            {"type": each.type, "name": each.name, "actions": list(each.actions)} for each in access
        ],
    }
    return jwt.encode(claims, key, _ALGORITHM, headers={"kid": _public(key)["kid"]})


def jwks(secrets: Iterable[str]) -> dict[str, Any]:
    """Return the public halves of the secrets' keys as Distribution reads them (RFC 7517)."""
    return {"keys": [_public(_signing_key(secret)) for secret in secrets]}


def hook_secrets(secrets: Iterable[str]) -> list[str]:
    """Return what Distribution shows with its notifications: the first, while rotating any."""
    return [keys.derived(secret, "registry-notifications").hex() for secret in secrets]


def is_hook_secret(shown: str, secrets: Iterable[str]) -> bool:
    """Tell whether it was Distribution that showed this with a notification."""
    known = hook_secrets(secrets)
    return any(hmac.compare_digest(shown.encode(), each.encode()) for each in known)


def pull_key(org_id: UUID, secret: str, at: int) -> str:
    """Return the key that an organisation's nodes pull with; it can do nothing else.

    Within a term it is always the same, so that writing it again changes nothing.
    """
    begin = at - at % PULL_KEY_SECONDS
    claims = {"sub": str(org_id), "iat": begin, "exp": begin + 2 * PULL_KEY_SECONDS}
    return jwt.encode(claims, keys.derived(secret, "registry-pull"), _PULL_KEY_ALGORITHM)


def puller(key: str, secrets: Iterable[str]) -> UUID | None:
    """Return whose nodes pull with a key; None for what is no pull key, or is one no more."""
    for secret in secrets:
        try:
            claims = jwt.decode(
                key,
                keys.derived(secret, "registry-pull"),
                [_PULL_KEY_ALGORITHM],
                options={"require": ["sub", "iat", "exp"]},
            )
        except jwt.InvalidTokenError:
            continue
        return names.as_id(claims["sub"])
    return None


@functools.cache
def _signing_key(secret: str) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of a secret: the one it is in PEM, or derived from it (RFC 5869)."""
    if secret.startswith("-----BEGIN"):
        key = load_pem_private_key(secret.encode(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - config.py has looked
        return key
    hkdf = HKDF(SHA256(), _SEED_BYTES, salt=None, info=b"maxcloud/registry-tokens")
    number = int.from_bytes(hkdf.derive(secret.encode())) % (_ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def _public(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    needed = {"crv": "P-256", "kty": "EC", "x": _encoded(numbers.x), "y": _encoded(numbers.y)}
    canonical = json.dumps(needed, sort_keys=True, separators=(",", ":"))
    kid = base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest())
    return {**needed, "alg": _ALGORITHM, "use": "sig", "kid": kid.decode().rstrip("=")}


def _encoded(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32)).decode().rstrip("=")


def main(arguments: Sequence[str]) -> str:
    """Return what Distribution is to know of REGISTRY_JWT_SECRET: its JWKS; `hook`: its secret.

    Raises ConfigError with one sentence when the variable is missing or makes no sense.
    """
    secrets = registry_secrets(os.environ)
    if not secrets:
        raise ConfigError("REGISTRY_JWT_SECRET is not set: give the secret that the functions have")
    if list(arguments) == ["hook"]:
        return hook_secrets(secrets)[0]
    return json.dumps(jwks(secrets), indent=1)


if __name__ == "__main__":
    try:
        sys.stdout.write(main(sys.argv[1:]) + "\n")
    except ConfigError as error:
        sys.exit(f"maxcloud registry: {error}")

"""The tokens in mails: signed, never kept. Every claim is a row's, so a token can be made again.

One key per purpose, derived from SECRET_KEY: a token of one purpose is nothing to another. Source
of the claims' names: RFC 7519, section 4.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import jwt

from maxcloud import keys, names
from maxcloud.errors import InvalidToken, TokenExpired

INVITATION, PROOF_OF_ADDRESS = "invitation", "proof-of-address"

_ALGORITHM = "HS256"
_NOT_OURS = "this is not a token from a mail of ours for this purpose"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: which row it is about (`subject`), of whom, to which address."""

    subject: UUID
    org_id: UUID
    email: str
    issued_at: datetime
    expires_at: datetime


def make(purpose: str, claims: Claims, secret: str) -> str:
    """Return the token; the same claims under the same secret give the same text."""
    body = {
        "sub": str(claims.subject),
        "org": str(claims.org_id),
        "email": claims.email,
        "iat": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
    }
    return jwt.encode(body, keys.derived(secret, purpose), _ALGORITHM)


def read(purpose: str, token: str, secrets: Sequence[str]) -> tuple[UUID, UUID, str]:
    """Return the subject, the organisation and the address of a token of ours.

    Raises InvalidToken, and TokenExpired for a good one whose time is over.
    """
    for secret in secrets:
        try:
            body = jwt.decode(
                token,
                keys.derived(secret, purpose),
                [_ALGORITHM],
                options={"require": ["sub", "org", "email", "iat", "exp"]},
            )
        except jwt.ExpiredSignatureError as error:
            said = "this token has expired: ask for a new one"
            raise TokenExpired(said, field="token") from error
        except jwt.InvalidTokenError:
            continue
        subject, org_id = names.as_id(body["sub"]), names.as_id(str(body["org"]))
        if subject is not None and org_id is not None:
            return subject, org_id, str(body["email"])
    raise InvalidToken(_NOT_OURS, field="token")

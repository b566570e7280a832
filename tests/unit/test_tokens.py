import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
import pytest

from maxcloud import keys, tokens
from maxcloud.errors import InvalidToken, TokenExpired
from maxcloud.tokens import INVITATION, PROOF_OF_ADDRESS, Claims

SECRET, OTHER = "s" * 32, "o" * 32
ISSUED = datetime.now(UTC)
CLAIMS = Claims(uuid4(), uuid4(), "ada@example.test", ISSUED, ISSUED + timedelta(days=7))
BODY = {
    "sub": str(CLAIMS.subject),
    "org": str(CLAIMS.org_id),
    "email": CLAIMS.email,
    "iat": int(ISSUED.timestamp()),
    "exp": int(CLAIMS.expires_at.timestamp()),
}


def read(token: str) -> tuple[UUID, UUID, str]:
    return tokens.read(INVITATION, token, [SECRET])


def signed(body: dict[str, object], algorithm: str = "HS256") -> str:
    return jwt.encode(body, keys.derived(SECRET, INVITATION), algorithm)


def test_a_token_says_whom_it_is_about() -> None:
    token = tokens.make(INVITATION, CLAIMS, SECRET)
    assert read(token) == (CLAIMS.subject, CLAIMS.org_id, CLAIMS.email)


def test_the_same_claims_are_the_same_token() -> None:
    assert tokens.make(INVITATION, CLAIMS, SECRET) == tokens.make(INVITATION, CLAIMS, SECRET)


def test_the_old_secret_reads_while_it_is_there() -> None:
    token = tokens.make(INVITATION, CLAIMS, OTHER)
    assert tokens.read(INVITATION, token, [SECRET, OTHER])[0] == CLAIMS.subject
    with pytest.raises(InvalidToken):
        tokens.read(INVITATION, token, [SECRET])


def test_one_changed_byte_is_noticed_wherever_it_is() -> None:
    token = tokens.make(INVITATION, CLAIMS, SECRET)
    # The last character of a part has bits that Base64 does not use.
    padding = {at for at, character in enumerate(token) if character == "."}
    unused = {at - 1 for at in padding} | {len(token) - 1}
    for position, character in enumerate(token):
        if position not in unused:
            other = "A" if character != "A" else "B"
            with pytest.raises(InvalidToken):
                read(token[:position] + other + token[position + 1 :])


def test_a_token_of_another_purpose_is_none() -> None:
    with pytest.raises(InvalidToken):
        read(tokens.make(PROOF_OF_ADDRESS, CLAIMS, SECRET))


def test_a_token_without_a_signature_is_none() -> None:
    header, body = ({"alg": "none", "typ": "JWT"}, BODY)
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, body)
    ]
    for unsigned in (b".".join([*parts, b""]), b".".join(parts)):
        with pytest.raises(InvalidToken):
            read(unsigned.decode())


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_is_refused_with_the_right_key_too(algorithm: str) -> None:
    with pytest.raises(InvalidToken):
        read(signed(BODY, algorithm))


def test_time_ends_a_token() -> None:
    with pytest.raises(TokenExpired):
        read(signed(BODY | {"exp": int(ISSUED.timestamp()) - 1}))


@pytest.mark.parametrize("missing", BODY)
def test_a_claim_that_is_missing_is_missed(missing: str) -> None:
    with pytest.raises(InvalidToken):
        read(signed({key: value for key, value in BODY.items() if key != missing}))


@pytest.mark.parametrize("claim", ["sub", "org"])
@pytest.mark.parametrize("value", ["", "shop", "a" * 32])
def test_an_id_that_is_none_is_refused(claim: str, value: str) -> None:
    with pytest.raises(InvalidToken):
        read(signed(BODY | {claim: value}))


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "é.é.é", "\x00", "a" * 4096])
def test_other_text_is_no_token(text: str) -> None:
    with pytest.raises(InvalidToken):
        read(text)

import json
import subprocess
import sys
import time
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from maxcloud import registry
from maxcloud.registry import PULL_KEY_SECONDS, READING, WRITING, Access

SECRET, OLD = "s" * 32, "o" * 32
NOW = 1_800_000_000
ORG, OTHER = UUID(int=0xABCDEF), UUID(int=8)
SHOP = f"{ORG}/shop"
ALL = ("pull", "push", "delete")
UNTIMED: jwt.types.Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
}


@pytest.mark.parametrize(
    ("scopes", "allowed", "granted"),
    [
        # What clients really ask for.
        ([f"repository:{SHOP}:pull"], WRITING, {SHOP: ("pull",)}),
        ([f"repository:{SHOP}:pull,push"], WRITING, {SHOP: ("pull", "push")}),
        ([f"repository:{SHOP}:push,pull"], WRITING, {SHOP: ("pull", "push")}),
        ([f"repository:{SHOP}:*"], WRITING, {SHOP: ALL}),
        ([f"repository:{SHOP}:delete"], WRITING, {SHOP: ("delete",)}),
        (
            [f"repository:{ORG}/team/web_app.v2:pull"],
            WRITING,
            {f"{ORG}/team/web_app.v2": ("pull",)},
        ),
        # A role that only reads.
        ([f"repository:{SHOP}:pull,push"], READING, {SHOP: ("pull",)}),
        ([f"repository:{SHOP}:*"], READING, {SHOP: ("pull",)}),
        ([f"repository:{SHOP}:push,delete"], READING, {}),
        # Several: a mount from one repository into another, in one text or in two.
        (
            [f"repository:{SHOP}:pull,push", f"repository:{ORG}/base:pull"],
            WRITING,
            {SHOP: ("pull", "push"), f"{ORG}/base": ("pull",)},
        ),
        (
            [f"repository:{SHOP}:pull,push repository:{ORG}/base:pull"],
            WRITING,
            {SHOP: ("pull", "push"), f"{ORG}/base": ("pull",)},
        ),
        ([f"repository:{SHOP}:pull", f"repository:{SHOP}:push"], WRITING, {SHOP: ("pull", "push")}),
        # Somebody else's, or nobody's.
        ([f"repository:{OTHER}/shop:pull"], WRITING, {}),
        ([f"repository:{SHOP}:pull", f"repository:{OTHER}/base:pull"], WRITING, {SHOP: ("pull",)}),
        (["repository:shop:pull"], WRITING, {}),
        (["repository:library/nginx:pull"], WRITING, {}),
        ([f"repository:{ORG}:pull"], WRITING, {}),
        ([f"repository:{ORG}/:pull"], WRITING, {}),
        ([f"repository:{ORG}x/shop:pull"], WRITING, {}),
        ([f"repository:{str(ORG).upper()}/shop:pull"], WRITING, {}),
        ([f"repository:{ORG.hex}/shop:pull"], WRITING, {}),
        # Paths that lead elsewhere, or that no repository has.
        ([f"repository:{ORG}/../{OTHER}/shop:pull"], WRITING, {}),
        ([f"repository:{ORG}/./shop:pull"], WRITING, {}),
        ([f"repository:{ORG}//shop:pull"], WRITING, {}),
        ([f"repository:/{SHOP}:pull"], WRITING, {}),
        ([f"repository:{SHOP}/:pull"], WRITING, {}),
        ([f"repository:{ORG}/Shop:pull"], WRITING, {}),
        ([f"repository:{ORG}/sh%2fop:pull"], WRITING, {}),
        ([f"repository:{ORG}/shöp:pull"], WRITING, {}),
        ([f"repository:{ORG}/shop\n:pull"], WRITING, {}),
        ([f"repository:{ORG}/shop\x00:pull"], WRITING, {}),
        ([f"repository:{ORG}/*:pull"], WRITING, {}),
        (["repository:*:*"], WRITING, {}),
        ([f"repository:evil.example:5000/{SHOP}:pull"], WRITING, {}),
        ([f"repository:{ORG}/{'a' * 300}:pull"], WRITING, {}),
        # Other types, among them the list of all repositories.
        (["registry:catalog:*"], WRITING, {}),
        ([f"registry:{SHOP}:*"], WRITING, {}),
        ([f"repository(plugin):{SHOP}:pull"], WRITING, {}),
        ([f"Repository:{SHOP}:pull"], WRITING, {}),
        # Nothing, or nonsense.
        ([], WRITING, {}),
        ([""], WRITING, {}),
        (["   "], WRITING, {}),
        (["repository"], WRITING, {}),
        (["repository:"], WRITING, {}),
        (["::"], WRITING, {}),
        ([f"repository:{SHOP}"], WRITING, {}),
        ([f"repository:{SHOP}:"], WRITING, {}),
        ([f"repository:{SHOP}:,,"], WRITING, {}),
        ([f"repository:{SHOP}:admin"], WRITING, {}),
        ([f"repository:{SHOP}:PULL"], WRITING, {}),
        ([f"repository:{SHOP}: pull"], WRITING, {}),
        ([f"repository:{SHOP}:pull;push"], WRITING, {}),
        ([f"repository:{SHOP}:pull"], (), {}),
    ],
)
def test_what_is_granted(
    scopes: list[str], allowed: tuple[str, ...], granted: dict[str, tuple[str, ...]]
) -> None:
    found = registry.granted(scopes, ORG, allowed)
    assert {each.name: each.actions for each in found} == granted
    assert {each.type for each in found} <= {"repository"}


def signed(secrets: list[str], **changes: object) -> str:
    access = [Access(SHOP, ("pull", "push"))]
    options = {"at": NOW, "seconds": 3600} | changes
    return registry.token(secrets, "registry.maxcloud.dev", "somebody", access, **options)  # type: ignore[arg-type]


def test_a_token_says_what_distribution_reads() -> None:
    token = signed([SECRET])
    header, claims = (
        jwt.get_unverified_header(token),
        jwt.decode(token, options={"verify_signature": False}),
    )
    [public] = registry.jwks([SECRET])["keys"]
    assert (header["alg"], header["kid"]) == ("ES256", public["kid"])
    UUID(claims.pop("jti"))
    assert claims == {
        "iss": "maxcloud",
        "sub": "somebody",
        "aud": "registry.maxcloud.dev",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 3600,
        "access": [{"type": "repository", "name": SHOP, "actions": ["pull", "push"]}],
    }
    assert all(type(claims[name]) is int for name in ("iat", "nbf", "exp"))


def test_while_rotating_the_new_key_signs_and_both_are_known() -> None:
    known = {key["kid"]: jwt.PyJWK(key) for key in registry.jwks([SECRET, OLD])["keys"]}
    assert len(known) == 2
    for secrets in ([SECRET, OLD], [OLD]):
        token = signed(secrets)
        key = known[jwt.get_unverified_header(token)["kid"]]
        assert jwt.decode(token, key, ["ES256"], options=UNTIMED)["sub"] == "somebody"
    first = registry.jwks([SECRET, OLD])["keys"][0]
    assert jwt.get_unverified_header(signed([SECRET, OLD]))["kid"] == first["kid"]


def test_a_secrets_key_is_always_the_same_and_tells_nothing_of_it() -> None:
    # A change here would lock everybody out until Distribution had the new key.
    [public] = registry.jwks([SECRET])["keys"]
    assert public["kid"] == "salV6d5U3PQTppCY7YlMf3qj9aDFEJblHsA7_tIPfDc"
    assert set(public) == {"alg", "crv", "kid", "kty", "use", "x", "y"}
    assert registry.jwks([SECRET]) == {"keys": [public]}


def test_a_key_in_pem_is_used_as_it_is() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()
    assert jwt.decode(signed([pem]), key.public_key(), ["ES256"], options=UNTIMED)


def test_a_pull_key_is_an_organisations_for_two_terms() -> None:
    begin = NOW - NOW % PULL_KEY_SECONDS
    key = registry.pull_key(ORG, SECRET, begin)
    assert registry.pull_key(ORG, SECRET, begin + PULL_KEY_SECONDS - 1) == key
    assert registry.pull_key(ORG, SECRET, begin + PULL_KEY_SECONDS) != key
    claims = jwt.decode(key, options={"verify_signature": False})
    assert (claims["iat"], claims["exp"]) == (begin, begin + 2 * PULL_KEY_SECONDS)


def test_a_pull_key_proves_an_organisation_and_nothing_else_does() -> None:
    at = int(time.time())
    for secret in (SECRET, OLD):
        assert registry.puller(registry.pull_key(ORG, secret, at), [SECRET, OLD]) == ORG
    assert registry.puller(registry.pull_key(ORG, OLD, at), [SECRET]) is None
    assert (
        registry.puller(registry.pull_key(ORG, SECRET, at - 3 * PULL_KEY_SECONDS), [SECRET]) is None
    )
    # A registry token is signed by another key, with another purpose.
    for other in ("", "a.b.c", f"mc_{uuid4().hex}", signed([SECRET], at=at)):
        assert registry.puller(other, [SECRET]) is None


@pytest.mark.parametrize(
    ("repository", "owner"),
    [
        (SHOP, (ORG, "shop")),
        (f"{ORG}/a/b", (ORG, "a/b")),
        ("shop", None),
        (str(ORG), None),
        (f"{ORG}/", None),
        (f"{ORG}/a//b", None),
        ("library/nginx", None),
    ],
)
def test_a_repository_has_an_owner(repository: str, owner: tuple[UUID, str] | None) -> None:
    assert registry.owner_of(repository) == owner


def printed(*arguments: str, secret: str | None) -> subprocess.CompletedProcess[str]:
    env = {"REGISTRY_JWT_SECRET": secret} if secret else {}
    command = [sys.executable, "-m", "maxcloud.registry", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_an_operator_gets_what_distribution_is_to_know() -> None:
    done = printed(secret=f"{SECRET},{OLD}")
    assert json.loads(done.stdout) == registry.jwks([SECRET, OLD])
    assert printed("hook", secret=SECRET).stdout.strip() == registry.hook_secrets([SECRET])[0]
    for secret, sentence in ((None, "is not set"), ("short", "at least 32 bytes")):
        done = printed(secret=secret)
        assert done.returncode == 1
        assert sentence in done.stderr
        assert len(done.stderr.splitlines()) == 1

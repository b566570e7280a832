import ast
import inspect
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from maxcloud import config
from maxcloud.config import DEV_ORG_ID, Config
from maxcloud.errors import ConfigError

README = Path(__file__).parents[2] / "README.md"
SECRET = "s" * 32
LEAST = {"DATABASE_URL": "postgresql:///x", "SECRET_KEY": SECRET}


def pem(curve: ec.EllipticCurve) -> str:
    key = ec.generate_private_key(curve)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()


P256, P384 = pem(ec.SECP256R1()), pem(ec.SECP384R1())

GOOD: list[tuple[str, str | None, str, Any]] = [
    ("HOST", None, "host", "0.0.0.0"),  # noqa: S104
    ("HOST", "127.0.0.1", "host", "127.0.0.1"),
    ("HOST", "::1", "host", "::1"),
    ("PORT", None, "port", 8080),
    ("PORT", "1", "port", 1),
    ("PORT", "65535", "port", 65535),
    ("LOG_LEVEL", None, "log_level", logging.INFO),
    ("LOG_LEVEL", "DEBUG", "log_level", logging.DEBUG),
    ("LOG_LEVEL", "warning", "log_level", logging.WARNING),
    ("LOG_LEVEL", "error", "log_level", logging.ERROR),
    ("DATABASE_URL", "postgres://u:p@h/d", "database_url", "postgres://u:p@h/d"),
    ("SECRET_KEY", f"{SECRET},{'t' * 40}", "secret_keys", (SECRET, "t" * 40)),
    ("MAXCLOUD_DOMAIN", None, "domain", "maxcloud.dev"),
    ("MAXCLOUD_DOMAIN", "Example.EU", "domain", "example.eu"),
    ("MAXCLOUD_DOMAIN", "localhost:8080", "domain", "localhost:8080"),
    ("KNATIVE_NAMESPACE", None, "namespace", "default"),
    ("KNATIVE_NAMESPACE", "x" * 63, "namespace", "x" * 63),
    ("K_SINK", None, "sink", None),
    ("K_SINK", "", "sink", None),
    ("K_SINK", "http://broker/a/b", "sink", "http://broker/a/b"),
    ("DEV_MODE", None, "dev_mode", False),
    ("DEV_MODE", "0", "dev_mode", False),
    ("LOCAL_IMAGES_URL", None, "local_images", None),
    ("LOCAL_IMAGES_URL", "http://127.0.0.1:9/images", "local_images", "http://127.0.0.1:9/images"),
    ("REGISTRY_PRIVATE_HOSTS", None, "registry_private_hosts", frozenset()),
    ("REGISTRY_PRIVATE_HOSTS", "A.b:5000, c ,", "registry_private_hosts", {"a.b:5000", "c"}),
    ("REGISTRATION", None, "registration", "verify"),
    ("REGISTRATION", "Open", "registration", "open"),
    ("REGISTRATION", "closed", "registration", "closed"),
    ("REGISTRY_URL", None, "registry_url", "registry.maxcloud.dev"),
    ("REGISTRY_URL", "Registry.Example.EU:5000", "registry_url", "registry.example.eu:5000"),
    ("REGISTRY_JWT_SECRET", None, "registry_secrets", ()),
    ("REGISTRY_JWT_SECRET", f"{SECRET}, {'t' * 40}", "registry_secrets", (SECRET, "t" * 40)),
    ("REGISTRY_JWT_SECRET", f"{P256},{SECRET}", "registry_secrets", (P256, SECRET)),
    ("REGISTRY_TOKEN_EXPIRY", None, "registry_token_seconds", 3600),
    ("REGISTRY_TOKEN_EXPIRY", "60s", "registry_token_seconds", 60),
    ("REGISTRY_TOKEN_EXPIRY", "24h", "registry_token_seconds", 86400),
    ("REGISTRY_ADDRESS", None, "registry_address", None),
    (
        "REGISTRY_ADDRESS",
        "http://distribution:5000",
        "registry_address",
        "http://distribution:5000",
    ),
    ("RESEND_API_KEY", None, "resend_api_key", ""),
    ("RESEND_API_KEY", "re_1", "resend_api_key", "re_1"),
    ("RESEND_API_URL", None, "resend_api_url", "https://api.resend.com"),
    ("RESEND_API_URL", "http://127.0.0.1:9", "resend_api_url", "http://127.0.0.1:9"),
    ("SMTP_URL", None, "smtp_url", ""),
    ("SMTP_URL", "smtps://u:p@mail:465", "smtp_url", "smtps://u:p@mail:465"),
    ("EMAIL_FROM", None, "email_from", "noreply@maxcloud.dev"),
    ("EMAIL_FROM", "us@example.eu", "email_from", "us@example.eu"),
    ("MAXCLOUD_COMMIT", None, "commit", "unknown"),
    ("MAXCLOUD_COMMIT", "abc", "commit", "abc"),
]

BAD: list[tuple[str, str]] = [
    *(("HOST", value) for value in ("", "localhost", "1.2.3", "0.0.0.0:80")),
    ("LOCAL_IMAGES_URL", "127.0.0.1:9"),
    *(("PORT", value) for value in ("", "0", "65536", "-1", "8080 ", "http", "8e3")),
    *(("LOG_LEVEL", value) for value in ("", "loud", "10")),
    *(("DATABASE_URL", value) for value in ("", "nonsense", "mysql://x", "/var/lib")),
    *(("SECRET_KEY", value) for value in ("", ",", "s" * 31, f"{SECRET},short")),
    *(("MAXCLOUD_DOMAIN", value) for value in ("", "-a", "a b", "https://a", "a_b", "a:b", "a/")),
    *(("KNATIVE_NAMESPACE", value) for value in ("", "A", "a.b", "x" * 64, "a\n")),
    *(("K_SINK", value) for value in ("broker", "ftp://x", "http://", "http://[", "http://a:x")),
    *(("REGISTRATION", value) for value in ("", "maybe", "true")),
    ("RESEND_API_KEY", "re_1\n"),
    ("RESEND_API_URL", "api.resend.com"),
    *(("SMTP_URL", value) for value in ("mail:25", "http://mail", "smtp://", "smtp://h:x")),
    *(("EMAIL_FROM", value) for value in ("", "us", "us@", "a@b, c@d", "Us <us@b.c>", "a@b\nc")),
    *(("REGISTRY_URL", value) for value in ("", "https://a.b", "a/b", "u@a.b", "a.b:x", "ä.eu")),
    *(("REGISTRY_JWT_SECRET", value) for value in ("short", f"{SECRET},short", P384, P256[:-40])),
    *(("REGISTRY_TOKEN_EXPIRY", v) for v in ("", "0", "59s", "25h", "1d", "1h30m", "-1h", "1 h")),
    ("REGISTRY_ADDRESS", "distribution:5000"),
    *(("DEV_MODE", value) for value in ("yes", "on", "2")),
    *(("REGISTRY_PRIVATE_HOSTS", value) for value in ("https://a", "a/b", "a b", "*")),
]


@pytest.mark.parametrize(("variable", "value", "field", "read"), GOOD)
def test_a_variable_is_read(variable: str, value: str | None, field: str, read: Any) -> None:
    env = LEAST if value is None else LEAST | {variable: value}
    assert getattr(Config.from_env(env), field) == read


@pytest.mark.parametrize("value", ["true", "TRUE", "1"])
def test_dev_mode_needs_no_secret(value: str) -> None:
    env = {"DEV_MODE": value, "MAXCLOUD_DOMAIN": "localhost", "DATABASE_URL": "postgresql:///x"}
    assert Config.from_env(env).dev_mode


def test_a_function_that_proves_nothing_needs_no_secret() -> None:
    env = {"DATABASE_URL": "postgresql:///x"}
    assert Config.from_env(env, needs_secret=False).secret_keys == ()


@pytest.mark.parametrize(("variable", "value"), BAD)
def test_nonsense_is_refused_in_one_sentence_naming_the_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Config.from_env(LEAST | {variable: value})
    assert str(refused.value).startswith(variable)


@pytest.mark.parametrize("missing", LEAST)
def test_what_is_required_is_missed(missing: str) -> None:
    env = {key: value for key, value in LEAST.items() if key != missing}
    with pytest.raises(ConfigError, match=f"^{missing} is not set"):
        Config.from_env(env)


def test_dev_mode_is_refused_on_a_public_domain() -> None:
    for domain in ("maxcloud.dev", "localhost.example.com"):
        with pytest.raises(ConfigError, match=r"^DEV_MODE is refused .*MAXCLOUD_DOMAIN"):
            Config.from_env(LEAST | {"DEV_MODE": "true", "MAXCLOUD_DOMAIN": domain})


def test_no_secret_is_shown() -> None:
    shown = repr(Config.from_env(LEAST | {"DATABASE_URL": "postgresql://u:hunter2@h/d"}))
    assert "hunter2" not in shown
    assert SECRET not in shown
    with pytest.raises(ConfigError) as refused:
        Config.from_env(LEAST | {"DATABASE_URL": "u:hunter2@h/d"})
    assert "hunter2" not in str(refused.value)


def test_an_organisation_has_a_namespace() -> None:
    settings = Config(namespace="mine")
    assert settings.namespace_of(DEV_ORG_ID) == "mine"
    other = DEV_ORG_ID.__class__(int=5)
    assert settings.namespace_of(other) == f"mc-org-{other}"


def variables() -> set[str]:
    """Every text in config.py that has the form of a variable's name and stands alone."""
    texts = (node for node in ast.walk(ast.parse(inspect.getsource(config))))
    constants = {str(node.value) for node in texts if isinstance(node, ast.Constant)}
    return {text for text in constants if re.fullmatch(r"[A-Z]+(_[A-Z]+)*", text)}


def test_the_tables_here_have_every_variable() -> None:
    assert variables() == {variable for variable, *_ in GOOD}


def test_every_variable_stands_in_the_readmes_table() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert variables() - set(rows) == set()

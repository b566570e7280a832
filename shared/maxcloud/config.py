"""What a function reads from its environment: once, typed, and refusing nonsense.

Every variable stands in the README's table with its default; tests/unit/test_config.py holds the
two together. A value that cannot be parsed raises ConfigError with one sentence naming it.
"""

import ipaddress
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit
from uuid import UUID

from maxcloud import names, system
from maxcloud.errors import ConfigError

# The one organisation and user of DEV_MODE. Fixed, so that a restart finds its services again.
DEV_ORG_ID = UUID("00000000-0000-4000-8000-000000000001")
DEV_USER_ID = UUID("00000000-0000-4000-8000-000000000002")

SECRET_BYTES_MIN = 32

RESEND = "https://api.resend.com"
SENDER = "noreply@maxcloud.dev"
REGISTRY = "registry.maxcloud.dev"

# A client asks for no token of less than a minute (distribution's token specification).
_TOKEN_SECONDS_MIN, _TOKEN_SECONDS_MAX = 60, 24 * 3600
_UNITS = {"s": 1, "m": 60, "h": 3600}

# DEV_MODE lets everybody in, so what is signed there proves nothing anyway.
_DEV_SECRET = "only for DEV_MODE, where it protects nothing"  # noqa: S105


class Registration(StrEnum):
    """Who may make an organisation: anybody, whoever proves their address, or nobody."""

    OPEN = "open"
    VERIFY = "verify"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one function; secrets stay out of its repr."""

    host: str = "0.0.0.0"  # noqa: S104 - a pod's own address; isolation is the network policy's work
    port: int = 8080
    log_level: int = logging.INFO
    database_url: str = field(default="", repr=False)
    secret_keys: tuple[str, ...] = field(default=(), repr=False)
    domain: str = "maxcloud.dev"
    namespace: str = "default"
    registration: Registration = Registration.VERIFY
    resend_api_key: str = field(default="", repr=False)
    resend_api_url: str = RESEND
    smtp_url: str = field(default="", repr=False)
    email_from: str = SENDER
    sink: str | None = None
    dev_mode: bool = False
    registry_url: str = REGISTRY
    registry_secrets: tuple[str, ...] = field(default=(), repr=False)
    registry_token_seconds: int = 3600
    registry_address: str | None = None
    registry_private_hosts: frozenset[str] = frozenset()
    local_images: str | None = None
    commit: str = "unknown"

    def namespace_of(self, org_id: UUID) -> str:
        """Return the namespace that an organisation's services live in."""
        if org_id == system.ORG_ID:
            return system.NAMESPACE
        return self.namespace if org_id == DEV_ORG_ID else f"mc-org-{org_id}"

    @property
    def registry_base(self) -> str:
        """The address that the platform itself reaches the registry at."""
        return self.registry_address or f"https://{self.registry_url}"

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, needs_secret: bool = True) -> "Config":
        """Read the configuration of a function; `needs_secret` tells whether it has SECRET_KEY.

        Raises ConfigError for the first variable that is missing or makes no sense.
        """
        dev_mode = _boolean(env, "DEV_MODE")
        config = cls(
            host=_host(env),
            port=_port(env),
            log_level=_log_level(env),
            database_url=database_url(env),
            secret_keys=_secret_keys(env) or ((_DEV_SECRET,) if dev_mode else ()),
            domain=_domain(env),
            namespace=_namespace(env),
            registration=_registration(env),
            resend_api_key=_word(env, "RESEND_API_KEY"),
            resend_api_url=_http_address(env, "RESEND_API_URL", "of Resend") or RESEND,
            smtp_url=_smtp_address(env),
            email_from=_email_from(env),
            sink=_http_address(env, "K_SINK", "of a broker"),
            dev_mode=dev_mode,
            registry_url=_registry_url(env),
            registry_secrets=registry_secrets(env),
            registry_token_seconds=_registry_token_seconds(env),
            registry_address=_http_address(env, "REGISTRY_ADDRESS", "of the registry"),
            registry_private_hosts=_hosts(env, "REGISTRY_PRIVATE_HOSTS"),
            local_images=_http_address(env, "LOCAL_IMAGES_URL", "of the local engine"),
            commit=env.get("MAXCLOUD_COMMIT", "unknown"),
        )
        if dev_mode and not names.is_local(config.domain):
            raise ConfigError(
                f"DEV_MODE is refused with the public MAXCLOUD_DOMAIN={config.domain}: "
                "set the domain to localhost or switch DEV_MODE off"
            )
        if needs_secret and not config.secret_keys:
            raise ConfigError(
                f"SECRET_KEY is not set: give at least {SECRET_BYTES_MIN} random bytes"
            )
        return config


def database_url(env: Mapping[str, str]) -> str:
    """Return the database's address; raises ConfigError when it is missing or none."""
    value = env.get("DATABASE_URL", "")
    if not value:
        raise ConfigError("DATABASE_URL is not set: name the PostgreSQL database to use")
    # The value is not shown: it may hold a password.
    if not value.startswith(("postgresql://", "postgres://")):
        raise ConfigError("DATABASE_URL must be an address such as postgresql://user@host/database")
    return value


def registry_secrets(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return what registry tokens are signed with, the newest first; none without a registry.

    Raises ConfigError when one is too short, or no key of P-256 in PEM.
    """
    secrets = tuple(s.strip() for s in env.get("REGISTRY_JWT_SECRET", "").split(",") if s.strip())
    for secret in secrets:
        if secret.startswith("-----BEGIN"):
            _require_p256(secret)
        elif len(secret.encode()) < SECRET_BYTES_MIN:
            said = f"at least {SECRET_BYTES_MIN} bytes, or be a private key of P-256 in PEM"
            raise ConfigError(f"REGISTRY_JWT_SECRET must have {said}")
    return secrets


def _require_p256(pem: str) -> None:
    # Late: most functions never see a key in PEM, and the library takes a while to load.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    wrong = ConfigError("REGISTRY_JWT_SECRET holds no private key of P-256 that can be read")
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise wrong from error
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise wrong


def _registry_url(env: Mapping[str, str]) -> str:
    value = env.get("REGISTRY_URL", REGISTRY).lower()
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?", value):
        raise ConfigError(f"REGISTRY_URL must be a host such as {REGISTRY}, not '{value}'")
    return value


def _registry_token_seconds(env: Mapping[str, str]) -> int:
    value = env.get("REGISTRY_TOKEN_EXPIRY", "1h")
    found = re.fullmatch(r"([0-9]{1,6})([smh])", value)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not _TOKEN_SECONDS_MIN <= seconds <= _TOKEN_SECONDS_MAX:
        raise ConfigError(
            f"REGISTRY_TOKEN_EXPIRY must be from 1m to 24h, such as 30m, not '{value}'"
        )
    return seconds


def _boolean(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "false").lower()
    if value not in {"true", "false", "1", "0", ""}:
        raise ConfigError(f"{name} must be true or false, not '{env[name]}'")
    return value in {"true", "1"}


def _host(env: Mapping[str, str]) -> str:
    value = env.get("HOST", "0.0.0.0")  # noqa: S104 - as above
    try:
        ipaddress.ip_address(value)
    except ValueError as error:
        raise ConfigError(f"HOST must be an address such as 127.0.0.1, not '{value}'") from error
    return value


def _port(env: Mapping[str, str]) -> int:
    value = env.get("PORT", "8080")
    if not value.isdecimal() or not 1 <= int(value) <= 65535:  # noqa: PLR2004 - RFC 6335
        raise ConfigError(f"PORT must be a number from 1 to 65535, not '{value}'")
    return int(value)


def _log_level(env: Mapping[str, str]) -> int:
    levels = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
    levels["error"] = logging.ERROR
    value = env.get("LOG_LEVEL", "info").lower()
    if value not in levels:
        raise ConfigError(f"LOG_LEVEL must be one of {', '.join(levels)}, not '{value}'")
    return levels[value]


def _secret_keys(env: Mapping[str, str]) -> tuple[str, ...]:
    keys = tuple(key for key in env.get("SECRET_KEY", "").split(",") if key)
    if any(len(key.encode()) < SECRET_BYTES_MIN for key in keys):
        raise ConfigError(f"SECRET_KEY must have at least {SECRET_BYTES_MIN} bytes")
    return keys


def _domain(env: Mapping[str, str]) -> str:
    value = env.get("MAXCLOUD_DOMAIN", "maxcloud.dev").lower()
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?", value):
        raise ConfigError(f"MAXCLOUD_DOMAIN must be a domain such as maxcloud.dev, not '{value}'")
    return value


def _namespace(env: Mapping[str, str]) -> str:
    value = env.get("KNATIVE_NAMESPACE", "default")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", value):
        raise ConfigError(f"KNATIVE_NAMESPACE must be the name of a namespace, not '{value}'")
    return value


def _registration(env: Mapping[str, str]) -> Registration:
    value = env.get("REGISTRATION", Registration.VERIFY).lower()
    try:
        return Registration(value)
    except ValueError as error:
        allowed = ", ".join(Registration)
        raise ConfigError(f"REGISTRATION must be one of {allowed}, not '{value}'") from error


def _word(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    # The value is not shown: it is a secret.
    if value and not (value.isascii() and value.isprintable() and " " not in value):
        raise ConfigError(f"{name} contains characters that no key has, perhaps a line end")
    return value


def _smtp_address(env: Mapping[str, str]) -> str:
    value = env.get("SMTP_URL", "")
    # The value is not shown: it may hold a password.
    wrong = ConfigError("SMTP_URL must be an address such as smtps://user:password@host:465")
    try:
        parts = urlsplit(value)
        known = parts.scheme in {"smtp", "smtps"} and parts.hostname and parts.port != 0
        if value and not known:
            raise wrong
    except ValueError as error:
        raise wrong from error
    return value


def _email_from(env: Mapping[str, str]) -> str:
    value = env.get("EMAIL_FROM", SENDER)
    if not re.fullmatch(r"[^\s<>@,;:\"]+@[^\s<>@,;:\"]+", value, re.ASCII):
        raise ConfigError(f"EMAIL_FROM must be one address such as {SENDER}, not '{value}'")
    return value


def _http_address(env: Mapping[str, str], name: str, whose: str) -> str | None:
    value = env.get(name)
    if not value:
        return None
    wrong = ConfigError(f"{name} must be the http address {whose}, not '{value}'")
    try:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
            raise wrong
    except ValueError as error:  # a broken IPv6 address, or a port that is none
        raise wrong from error
    return value


def _hosts(env: Mapping[str, str], name: str) -> frozenset[str]:
    hosts = frozenset(host.strip().lower() for host in env.get(name, "").split(",") if host.strip())
    for host in hosts:
        if not re.fullmatch(r"[a-z0-9.-]+(:[0-9]{1,5})?", host):
            raise ConfigError(f"{name} must be hosts separated by commas, not '{host}'")
    return hosts

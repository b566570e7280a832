"""The Secrets that an operator brings, and those that are made once. Pure.

They come from the environment, are never shown, and stand in Secret objects alone.
"""

import base64
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from maxcloud import registry
from maxcloud.config import registry_secrets
from maxcloud.errors import ConfigError
from maxcloud_hetzner.errors import BadSetting

Object = dict[str, Any]

SYSTEM = "mc-system"
_DATABASE = "postgresql://postgres:{}@database-rw.mc-database.svc.cluster.local/maxcloud"
_ROLES = {"api": "mc_api", "worker": "mc_worker"}

Known = Callable[[str, str], dict[str, str] | None]
"""What a Secret holds by now, by namespace and name; nothing for one that is not there."""


def objects(env: Mapping[str, str], known: Known, location: str, bucket: str) -> list[Object]:
    """Return every Secret: what is said in the environment wins, else what is there stays.

    Raises BadSetting for a variable that is missing or makes no sense.
    """
    token = _required(env, "HETZNER_API_TOKEN")
    access, key = _required(env, "HETZNER_S3_ACCESS_KEY"), _required(env, "HETZNER_S3_SECRET_KEY")
    storage = {
        "REGISTRY_STORAGE_S3_REGION": location,
        "REGISTRY_STORAGE_S3_REGIONENDPOINT": f"https://{location}.your-objectstorage.com",
        "REGISTRY_STORAGE_S3_BUCKET": bucket,
        "REGISTRY_STORAGE_S3_ROOTDIRECTORY": "/registry",
        "REGISTRY_STORAGE_S3_ACCESSKEY": access,
        "REGISTRY_STORAGE_S3_SECRETKEY": key,
    }
    found = [
        _secret("cert-manager", "hetzner", {"token": token}),
        _secret("external-dns", "hetzner", {"token": token}),
        _secret(SYSTEM, "registry-storage", storage),
        _secret(SYSTEM, "registry", _registry(env, known)),
        *_database(env, known, {"access-key": access, "secret-key": key}),
    ]
    if env.get("SECRET_KEY"):
        found.append(_secret(SYSTEM, "platform", {"secret-key": env["SECRET_KEY"]}))
    return found


def _registry(env: Mapping[str, str], known: Known) -> dict[str, str]:
    """Return what signs tokens, and what Distribution is to know of it."""
    there = known(SYSTEM, "registry") or {}
    signing = env.get("REGISTRY_JWT_SECRET") or there.get("jwt-secret") or secrets.token_urlsafe(32)
    try:
        keys = registry_secrets({"REGISTRY_JWT_SECRET": signing})
    except ConfigError as error:
        raise BadSetting(str(error)) from error
    return {
        "jwt-secret": signing,
        "jwks.json": json.dumps(registry.jwks(keys)),
        "hook-secret": registry.hook_secrets(keys)[0],
        "http-secret": there.get("http-secret") or secrets.token_urlsafe(32),
    }


def _database(env: Mapping[str, str], known: Known, backups: dict[str, str]) -> list[Object]:
    """Return every role's way to the database; the owner's is the migration's."""
    there = known(SYSTEM, "database") or {}
    owner = there.get("owner-password") or secrets.token_urlsafe(24)
    owner_url = env.get("DATABASE_URL") or _DATABASE.format(owner)
    data = {"owner-url": owner_url, "owner-password": owner}
    for role, user in _ROLES.items():
        password = there.get(f"{role}-password") or secrets.token_urlsafe(24)
        data |= {f"{role}-password": password, f"{role}-url": _as_role(owner_url, user, password)}
    found = [_secret(SYSTEM, "database", data)]
    if not env.get("DATABASE_URL"):
        superuser = {"username": "postgres", "password": owner}
        found.append(_secret("mc-database", "superuser", superuser, "kubernetes.io/basic-auth"))
        found.append(_secret("mc-database", "backups", backups))
    return found


def _as_role(url: str, user: str, password: str) -> str:
    """Return the address of a database with another user."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        port, parts = None, urlsplit("")
    if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname:
        # The value is not shown: it may hold a password.
        raise BadSetting("DATABASE_URL must be an address such as postgresql://user@host/database")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = f"{user}:{quote(password, safe='')}@{host}{f':{port}' if port else ''}"
    return urlunsplit((parts.scheme, place, parts.path, parts.query, ""))


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise BadSetting(f"{name} is not set")
    return value


def _secret(namespace: str, name: str, data: Mapping[str, str], type: str = "Opaque") -> Object:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": type,
        "data": encoded,
    }

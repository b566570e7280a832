"""The Secrets of an installation: what is in them, made once and then kept. Pure."""

import base64
import json
from collections.abc import Mapping
from secrets import token_urlsafe

from maxcloud import keys, registry
from maxcloud_cli.platform.parts import SYSTEM, Object
from maxcloud_cli.platform.plan import LABEL, OURS

# The keys of Secret `mail`, by the variable that a person sets for an installation.
_MAIL = {"RESEND_API_KEY": "resend-api-key", "SMTP_URL": "smtp-url"}

# Distribution's own variables, which say where it keeps images and with which keys.
_STORAGE = "REGISTRY_STORAGE_"

MAIL, STORAGE = "mail", "registry-storage"

# What reads the platform's own services, for who may read Secrets.
SYSTEM_KEY = "system-key"


def database() -> dict[str, str]:
    """Return new passwords of the database's roles, and the address of each."""
    data = {}
    for role, user in (("owner", "postgres"), ("api", "mc_api"), ("worker", "mc_worker")):
        password = token_urlsafe(24)
        data[f"{role}-password"] = password
        data[f"{role}-url"] = f"postgresql://{user}:{password}@postgres.{SYSTEM}/postgres"
    return data


def platform() -> dict[str, str]:
    """Return a new SECRET_KEY."""
    return {"secret-key": token_urlsafe(32)}


def private_registry() -> dict[str, str]:
    """Return a new REGISTRY_JWT_SECRET, and what Distribution is to know of it."""
    signing = token_urlsafe(32)
    return {
        "jwt-secret": signing,
        "jwks.json": json.dumps(registry.jwks([signing])),
        "hook-secret": registry.hook_secrets([signing])[0],
        "http-secret": token_urlsafe(32),
    }


def system_key() -> dict[str, str]:
    """Return a new API key, for the organisation of the platform's own functions."""
    return {"api-key": keys.make()}


# What makes the content of each Secret that nobody needs to say anything about.
MADE_ONCE = {
    "database": database,
    "platform": platform,
    "registry": private_registry,
    SYSTEM_KEY: system_key,
}


def said(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the content of the Secrets that a person's environment tells, by name."""
    mail = {key: environment[name] for name, key in _MAIL.items() if environment.get(name)}
    storage = {name: value for name, value in environment.items() if name.startswith(_STORAGE)}
    return {name: data for name, data in ((MAIL, mail), (STORAGE, storage)) if data}


def secret(name: str, data: Mapping[str, str]) -> Object:
    """Return a Secret of the platform."""
    metadata = {"name": name, "namespace": SYSTEM, "labels": {LABEL: OURS}}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}

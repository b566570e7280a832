"""The private registry on one machine: CNCF Distribution, as a process beside the engine.

It listens on loopback, keeps its images in the data folder, and believes the function `registry`.
"""

import asyncio
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from maxcloud import registry
from maxcloud.errors import EngineError
from maxcloud_local.instances.child import Child
from maxcloud_local.logs import Log

BINARY = "registry"

# The host that the gateway leads here.
REGISTRY_HOST = "registry.localhost"

# What `make registry` of this repository builds.
BUILT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maxcloud" / BINARY

NO_REGISTRY = (
    "there is no private registry: install CNCF Distribution 3 (distribution.github.io) as "
    "`registry` on your PATH, or build it with `make registry` where Go is"
)

START_SECONDS, END_SECONDS, PAUSE = 10, 5, 0.05

# Ends with the engine, even by kill -9: then its stdin closes.
_UNTIL_THE_ENGINE_ENDS = '"$0" serve "$1" < /dev/null & read -r _; kill $!'


@dataclass(frozen=True, slots=True)
class Settings:
    """What Distribution is to know.

    `address` is where it listens, `service` its name in references, `realm` where tokens are given,
    `hook` where it says what was pushed, `signing` the secrets that tokens are signed with.
    """

    folder: Path
    address: str
    service: str
    realm: str
    hook: str
    signing: Sequence[str]


def find() -> Path | None:
    """Return Distribution's program, from PATH or as it was built here; None without one."""
    found = shutil.which(BINARY) or (BUILT if os.access(BUILT, os.X_OK) else None)
    return Path(found) if found else None


def configuration(settings: Settings, jwks: Path) -> dict[str, Any]:
    """Return Distribution's configuration (its documentation, "Configuring a registry")."""
    shown = f"Bearer {registry.hook_secrets(settings.signing)[0]}"
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(settings.folder / "images")},
            "delete": {"enabled": True},
        },
        "http": {
            "addr": settings.address,
            "secret": secrets.token_urlsafe(32),
            # Behind a gateway it cannot know its own address.
            "relativeurls": True,
        },
        "auth": {
            "token": {
                "realm": settings.realm,
                "service": settings.service,
                "issuer": registry.ISSUER,
                "jwks": str(jwks),
                "signingalgorithms": ["ES256"],
            }
        },
        "notifications": {
            "endpoints": [
                {
                    "name": "maxcloud",
                    "url": settings.hook,
                    "headers": {"Authorization": [shown]},
                    "timeout": "10s",
                    "threshold": 3,
                    "backoff": "1s",
                    "ignore": {
                        "actions": ["pull"],
                        "mediatypes": ["application/octet-stream"],
                    },
                }
            ]
        },
    }


@asynccontextmanager
async def running(program: Path, settings: Settings, log: Log) -> AsyncIterator[None]:
    """Run Distribution while the block runs; raises EngineError when it does not start."""
    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    jwks, config = settings.folder / "jwks.json", settings.folder / "config.json"
    jwks.write_text(json.dumps(registry.jwks(settings.signing)), encoding="utf-8")
    # It holds a secret.
    config.touch(mode=0o600)
    config.write_text(json.dumps(configuration(settings, jwks)), encoding="utf-8")
    command = ["/bin/sh", "-c", _UNTIL_THE_ENGINE_ENDS, str(program), str(config)]
    env = {"PATH": os.environ.get("PATH", ""), "OTEL_TRACES_EXPORTER": "none"}
    try:
        child = await Child.start(command, env, log, lifeline=True)
    except OSError as error:
        raise EngineError(f"the private registry cannot start: {error.strerror}") from error
    try:
        await _answering(settings.address)
        yield
    finally:
        await child.stop(END_SECONDS)


async def _answering(address: str) -> None:
    async with aiohttp.ClientSession() as web:
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                while True:
                    with suppress(aiohttp.ClientError):
                        async with web.get(f"http://{address}/v2/"):
                            return
                    await asyncio.sleep(PAUSE)
    raise EngineError(f"the private registry does not answer within {START_SECONDS} s")

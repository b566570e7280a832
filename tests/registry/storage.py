"""A real S3 server, and replicas of Distribution as the manifest in deploy/ has them run there."""

import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from maxcloud import registry
from tests.cluster import build
from tests.journeys.platform import eventually
from tests.ports import free_port

MANIFEST = Path(__file__).parents[2] / "deploy" / "base" / "distribution.yaml"
# What its notifications go to in a cluster.
HOOK = "http://registry.mc-system.svc.cluster.local/notifications"
BUCKET, REGION = "images", "eu-central"


def programs() -> Path:
    """Return the folder of Distribution and the S3 server, built the first time."""
    if shutil.which("go") is None:
        pytest.skip("Go is not on this machine: it builds the S3 server and Distribution for it")
    return build.registry_programs()


@dataclass
class Storage:
    """An S3 server at a port of loopback; what it holds outlives its process."""

    folder: Path
    port: int = field(default_factory=free_port)
    user: str = "maxcloud"
    password: str = field(default_factory=secrets.token_urlsafe)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def secret(self) -> dict[str, str]:
        """What an operator writes into Secret `registry-storage`."""
        return {
            "REGISTRY_STORAGE_S3_BUCKET": BUCKET,
            "REGISTRY_STORAGE_S3_REGION": REGION,
            "REGISTRY_STORAGE_S3_REGIONENDPOINT": self.url,
            "REGISTRY_STORAGE_S3_FORCEPATHSTYLE": "true",
            "REGISTRY_STORAGE_S3_ACCESSKEY": self.user,
            "REGISTRY_STORAGE_S3_SECRETKEY": self.password,
        }

    def start(self) -> None:
        """Start it, and return when it answers."""
        for name in ("buckets", "metadata"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "buckets" / BUCKET).mkdir(exist_ok=True)
        options = ["--quiet", f"--port=127.0.0.1:{self.port}", f"--region={REGION}", "posix"]
        options += [f"--sidecar={self.folder / 'metadata'}", str(self.folder / "buckets")]
        keys = {"ROOT_ACCESS_KEY_ID": self.user, "ROOT_SECRET_ACCESS_KEY": self.password}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [programs() / "versitygw", *options], stdout=log, stderr=log, env=keys
            )
        eventually("the S3 server", lambda: status(self.url), 20, lambda seen: seen == 403)

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)


@dataclass
class Replica:
    """One Distribution, with the configuration and the variables of the manifest."""

    folder: Path
    environment: Mapping[str, str]
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.folder.mkdir(exist_ok=True)
        config = self.folder / "config.yml"
        config.write_text(_object("ConfigMap")["data"]["config.yml"])
        here = {"REGISTRY_HTTP_ADDR": f"127.0.0.1:{self.port}"}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [programs() / "registry", "serve", config],
                stdout=log,
                stderr=log,
                env={**self.environment, **here},
            )
        eventually("the replica", self.health, 20, lambda seen: seen == 200)

    def end(self) -> None:
        """Ask it to end, as the kubelet does."""
        assert self._process is not None
        self._process.terminate()

    def has_ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def health(self) -> int:
        """What its readiness probe is answered."""
        return status(self.url)


def environment(
    storage: Storage, signing: str, host: str, *, realm: str, hook: str, jwks: Path
) -> dict[str, str]:
    """Return the variables of the manifest's container, its Secrets as an operator makes them.

    `host` is the registry's name; `realm`, `hook` and `jwks` stand for what a cluster has there.
    """
    from_objects = {
        ("registry", "http-secret"): secrets.token_urlsafe(32),
        ("registry", "hook-secret"): registry.hook_secrets([signing])[0],
        ("platform", "REGISTRY_URL"): host,
    }
    [container] = _object("Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "registry-storage"}}]
    found = dict(storage.secret)
    for each in container["env"]:
        if source := each.get("valueFrom"):
            [reference] = source.values()
            found[each["name"]] = from_objects[reference["name"], reference["key"]]
        else:
            found[each["name"]] = _expanded(each["value"], found)
    assert HOOK in found["REGISTRY_NOTIFICATIONS_ENDPOINTS"]
    endpoints = found["REGISTRY_NOTIFICATIONS_ENDPOINTS"].replace(HOOK, hook)
    return found | {
        "REGISTRY_AUTH_TOKEN_JWKS": str(jwks),
        "REGISTRY_AUTH_TOKEN_REALM": realm,
        "REGISTRY_NOTIFICATIONS_ENDPOINTS": endpoints,
    }


def status(url: str) -> int:
    try:
        return httpx.get(url).status_code
    except httpx.TransportError:
        return 0


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """Put variables into a value as the kubelet does."""
    return re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], text)


def _object(kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))
    [found] = [each for each in documents if each["kind"] == kind]
    return dict(found)

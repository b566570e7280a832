"""The real registry, CNCF Distribution, as a process of a test."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from maxcloud_local import registry as local
from tests.journeys.platform import eventually
from tests.ports import free_port


def program() -> Path:
    """Return where Distribution is; without it, a skip."""
    found = local.find()
    if found is None:
        pytest.skip("Distribution is not on this machine: make registry")
    return found


@dataclass
class Distribution:
    """A registry at a port of loopback; what it holds outlives its process."""

    folder: Path
    auth: Mapping[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    host_name: str = ""  # what references call it, where that is not its address
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def start(self) -> None:
        """Start it, with the secret of uploads that it makes for itself; return when it answers."""
        config = self.folder / "config.json"
        config.write_text(
            json.dumps(
                {
                    "version": 0.1,
                    "log": {"level": "error", "accesslog": {"disabled": True}},
                    "storage": {
                        "filesystem": {"rootdirectory": str(self.folder / "images")},
                        "delete": {"enabled": True},
                    },
                    "http": {"addr": self.host, "relativeurls": True},
                }
                | ({"auth": dict(self.auth)} if self.auth else {})
            )
        )
        with (self.folder / "log").open("ab") as log:
            env = {"PATH": "", "OTEL_TRACES_EXPORTER": "none"}
            self._process = subprocess.Popen(
                [program(), "serve", config], stdout=log, stderr=log, env=env
            )
        eventually("the registry", self._status, 20, lambda status: status in (200, 401))

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def get(self, path: str) -> httpx.Response:
        accept = "application/vnd.oci.image.manifest.v1+json"
        accept += ", application/vnd.docker.distribution.manifest.v2+json"
        return httpx.get(f"{self.url}/v2/{path}", headers={"Accept": accept}, timeout=60)

    def _status(self) -> int:
        try:
            return httpx.get(f"{self.url}/v2/").status_code
        except httpx.TransportError:
            return 0


@contextmanager
def distribution(
    folder: Path, auth: Mapping[str, Any] | None = None, port: int = 0
) -> Iterator[Distribution]:
    """Run a registry while the block runs."""
    made = Distribution(folder, auth or {}, port or free_port())
    made.start()
    try:
        yield made
    finally:
        made.stop()

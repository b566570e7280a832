"""A project at Hetzner, emulated, and stand-ins for the programs that reach its machines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from maxcloud_hetzner import setup
from maxcloud_hetzner.project import Project
from maxcloud_hetzner.settings import Settings
from maxcloud_hetzner.setup import Place
from tests.hetzner.emulator import TOKEN, Emulator, serve

OPERATOR = "203.0.113.7"

# What a machine answers: it keeps what it was asked, and fails once where a test says so.
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >> "$STAND_INS/asked"
for file in "$STAND_INS"/once/*; do
  [ -e "$file" ] || continue
  case "$*" in *"$(cat "$file")"*) rm "$file"; echo "it is not there yet" >&2; exit 1;; esac
done
"""
SSH = (
    STAND_IN
    + """
case "$*" in
*k3s.yaml*) cat "$STAND_INS/k3s.yaml" ;;
*"token create"*) echo "K10abc::q1w2e3.r4t5z6u7i8o9p0a1" ;;
*) exit 9 ;;
esac
"""
)
KUBECTL = (
    STAND_IN
    + """
case "$*" in
*apply*) cat >> "$STAND_INS/applied" ;;
*"get nodes"*) cat "$STAND_INS/nodes" ;;
*) exit 9 ;;
esac
"""
)
K3S_YAML = """apiVersion: v1
kind: Config
clusters: [{name: default, cluster: {server: "https://127.0.0.1:6443"}}]
users: [{name: default, user: {client-key-data: secret}}]
"""


@dataclass
class World:
    """An operator's machine and the project that it works on."""

    emulator: Emulator
    place: Place
    folder: Path
    said: list[str]

    def settings(self, **changed: Any) -> Settings:
        wanted = {"operators": (OPERATOR,), "workers": 2, "worker_type": "cx43", **changed}
        return Settings(**wanted)

    def project(self, token: str = TOKEN) -> Project:
        return Project(token, self.emulator.url, "maxcloud")

    def up(
        self,
        settings: Settings | None = None,
        *,
        dry_run: bool = False,
        ready: set[str] | None = None,
    ) -> None:
        settings = settings or self.settings()
        machines = ready or {settings.control_plane, *settings.worker_names}
        (self.folder / "nodes").write_text(" ".join(f"{name}=True" for name in machines))
        setup.up(self.project(), settings, self.place, TOKEN, self.said.append, dry_run=dry_run)

    def down(self, *, with_volumes: bool = False, dry_run: bool = False) -> None:
        setup.down(self.project(), self.said.append, with_volumes=with_volumes, dry_run=dry_run)

    def fails_once(self, command: str) -> None:
        """Let the next command that contains this fail."""
        (self.folder / "once").mkdir(exist_ok=True)
        (self.folder / "once" / str(len(command))).write_text(command)

    def asked(self) -> list[str]:
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with serve(Emulator()) as emulator:
        yield emulator


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    folder = tmp_path / "stand-ins"
    folder.mkdir()
    for name, content in (("ssh", SSH), ("kubectl", KUBECTL)):
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    (folder / "k3s.yaml").write_text(K3S_YAML)
    monkeypatch.setenv("STAND_INS", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    key = tmp_path / "id_ed25519"
    key.with_suffix(".pub").write_text("ssh-ed25519 AAAA operator\n")
    place = Place(tmp_path / "state", key, pause=0)
    return World(emulator, place, folder, [])

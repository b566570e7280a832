"""The script that starts k3s on a machine, run here with stand-ins for what a machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from maxcloud_hetzner.machines import START

IP = """#!/bin/sh
[ -e "$FOLDER/attached" ] && echo "3: enp7s0    inet 10.0.0.2/32 brd 10.0.0.2 scope global enp7s0"
exit 0
"""
CURL = """#!/bin/sh
case "$*" in
*169.254.169.254*) echo 198.51.100.7 ;;
*) while [ "$1" != --output ]; do shift; done
   echo "echo \\"\\$INSTALL_K3S_VERSION \\$1\\" >> $FOLDER/installed" > "$2"
   echo "$3" > "$FOLDER/asked" ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    for name, content in (("ip", IP), ("curl", CURL)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def start(machine: Path, role: str) -> subprocess.CompletedProcess[str]:
    settings = f"ROLE={role}\nK3S_VERSION=v1.36.4+k3s1\nNETWORK_RANGE=10.0.0.0/16\n"
    (machine / "machine").write_text(settings)
    env = {
        "PATH": f"{machine}:{os.environ['PATH']}",
        "FOLDER": str(machine),
        "MACHINE": str(machine / "machine"),
        "CONFIG": str(machine / "k3s"),
        "TRIES": "1",
    }
    return subprocess.run(["sh", str(START)], env=env, capture_output=True, text=True, check=False)


def test_a_server_says_its_addresses_and_installs_the_release(machine: Path) -> None:
    (machine / "attached").touch()
    for _ in range(2):
        done = start(machine, "server")
        assert done.returncode == 0, done.stderr
    config = yaml.safe_load((machine / "k3s/config.yaml.d/10-addresses.yaml").read_text())
    assert config == {
        "node-ip": "10.0.0.2",
        "flannel-iface": "enp7s0",
        "advertise-address": "10.0.0.2",
        "tls-san": ["198.51.100.7"],
    }
    assert (machine / "installed").read_text().split("\n")[0] == "v1.36.4+k3s1 server"
    assert "/v1.36.4+k3s1/install.sh" in (machine / "asked").read_text()


def test_an_agent_says_its_private_address(machine: Path) -> None:
    (machine / "attached").touch()
    assert start(machine, "agent").returncode == 0
    config = yaml.safe_load((machine / "k3s/config.yaml.d/10-addresses.yaml").read_text())
    assert config == {"node-ip": "10.0.0.2", "flannel-iface": "enp7s0"}


def test_without_a_private_network_it_says_so(machine: Path) -> None:
    done = start(machine, "agent")
    assert done.returncode == 1
    assert "no address in 10.0.0.0/16" in done.stderr
    assert not (machine / "installed").exists()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck on this machine")
def test_the_shell_is_clean() -> None:
    done = subprocess.run(["shellcheck", str(START)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout

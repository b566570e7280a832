"""The command itself: what an operator types and reads."""

from __future__ import annotations

import subprocess
import sys

from tests.hetzner.conftest import OPERATOR, World
from tests.hetzner.emulator import TOKEN


def run(world: World, *arguments: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": f"{world.folder}:/usr/bin:/bin",
        "STAND_INS": str(world.folder),
        "HCLOUD_ENDPOINT": world.emulator.url,
        "HETZNER_API_TOKEN": token,
    }
    command = [sys.executable, "-m", "maxcloud_hetzner", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_up_prints_where_the_kubeconfig_is_and_down_removes_all(world: World) -> None:
    (world.folder / "nodes").write_text("maxcloud-control-plane-1=True")
    key = ("--ssh-key", str(world.place.ssh_key), "--state-dir", str(world.place.folder))
    done = run(world, "up", "--operator", OPERATOR, "--workers", "0", *key)
    assert (done.returncode, done.stdout.strip()) == (0, str(world.place.kubeconfig)), done.stderr
    assert TOKEN not in done.stdout + done.stderr
    done = run(world, "firewall", "--operator", OPERATOR, "--operator", "198.51.100.1")
    assert (done.returncode, "its rules differ" in done.stderr) == (0, True)
    done = run(world, "addons", "--kubeconfig", str(world.place.kubeconfig))
    assert done.returncode == 0, done.stderr
    done = run(world, "down", "--yes")
    assert done.returncode == 0, done.stderr
    assert world.emulator.names("servers") == set()


def test_an_error_is_one_sentence_and_no_traceback(world: World) -> None:
    for arguments, token, said in (
        (("up",), TOKEN, "--operator is missing"),
        (("up", "--operator", OPERATOR), "", "HETZNER_API_TOKEN is not set"),
        (("firewall", "--operator", OPERATOR), "wrong", "make a token"),
        (("firewall", "--operator", OPERATOR), TOKEN, "make the cluster first"),
    ):
        done = run(world, *arguments, token=token)
        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_down_wants_the_name_typed(world: World) -> None:
    world.up()
    before = world.emulator.changes
    done = run(world, "down")
    assert done.returncode != 0
    assert world.emulator.changes == before

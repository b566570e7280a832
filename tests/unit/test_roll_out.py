"""deploy/roll-out: a new image, or the one before. kubectl, maxcloud and curl are stand-ins."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROLL_OUT = Path(__file__).parents[2] / "deploy" / "roll-out"

# The platform is what stands in `installed`; the images in `broken` cannot be installed, those in
# `sick` can, and are not well.
STAND_INS = {
    "kubectl": 'cat "$WORLD/before" 2>/dev/null || true',
    "maxcloud": """
case "$2" in
install)
  image=$(cat "$4")
  echo "$image" >> "$WORLD/asked"
  if grep -qx "$image" "$WORLD/broken"; then exit 1; fi
  echo "$image" > "$WORLD/installed" ;;
status) ! grep -qxf "$WORLD/installed" "$WORLD/sick" ;;
esac
""",
    "curl": 'exit "${CURL:-0}"',
    "manifests": 'echo "$MAXCLOUD_IMAGE"',
}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    for name, content in STAND_INS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{content}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("broken", "sick", "asked", "installed"):
        (tmp_path / name).touch()
    return tmp_path


def roll_out(world: Path, *, before: str = "old", url: str = "https://api") -> tuple[int, str]:
    if before:
        (world / "before").write_text(before)
    env = {"PATH": f"{world}:{os.environ['PATH']}", "WORLD": str(world), "MAXCLOUD_IMAGE": "new"}
    command = [str(ROLL_OUT), url, "manifests"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def asked(world: Path) -> list[str]:
    return (world / "asked").read_text().split()


def test_an_image_that_is_well_stays(world: Path) -> None:
    assert roll_out(world)[0] == 0
    assert asked(world) == ["new"]


@pytest.mark.parametrize("fault", ["broken", "sick"])
def test_one_that_is_not_goes_back_and_fails(world: Path, fault: str) -> None:
    (world / fault).write_text("new\n")
    code, said = roll_out(world)
    assert (code, asked(world)) == (1, ["new", "old"])
    assert said.splitlines()[-1] == "Error: new is not well; old runs again"


def test_without_one_before_it_says_so(world: Path) -> None:
    (world / "broken").write_text("new\n")
    code, said = roll_out(world, before="")
    assert (code, asked(world)) == (3, ["new"])
    assert "no image before it" in said


def test_when_both_are_not_well_it_says_what_to_look_at(world: Path) -> None:
    (world / "broken").write_text("new\nold\n")
    code, said = roll_out(world)
    assert (code, asked(world)) == (3, ["new", "old"])
    assert "maxcloud platform status" in said


def test_without_an_image_or_a_command_it_says_how(world: Path) -> None:
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run([str(ROLL_OUT)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")

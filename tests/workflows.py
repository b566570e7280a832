"""GitHub's workflows as their files have them: a job's steps, and carrying one out as there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = ROOT / ".github" / "workflows"


@dataclass(frozen=True)
class Step:
    """A step that runs something; its name is its command where it has none."""

    name: str
    command: str
    always: bool
    id: str
    env: Mapping[str, str]


def steps(workflow: str, job: str) -> list[Step]:
    """Return what a job runs itself, without the actions that it uses."""
    whole = yaml.safe_load((WORKFLOWS / f"{workflow}.yml").read_text(encoding="utf-8"))
    described = whole["jobs"][job]
    outer = whole.get("env", {}) | described.get("env", {})
    return [_step(each, outer) for each in described["steps"] if "run" in each]


def _step(described: Mapping[str, Any], outer: Mapping[str, str]) -> Step:
    command, condition = described["run"], described.get("if", "success()")
    assert condition in {"success()", "always()"}
    return Step(
        name=described.get("name", command),
        command=command,
        always=condition == "always()",
        id=described.get("id", ""),
        env={**outer, **described.get("env", {})},
    )


def environment(step: Step, known: Mapping[str, str]) -> dict[str, str]:
    """Return a step's variables; an expression that is not `known` is empty, as at GitHub."""

    def value(found: re.Match[str]) -> str:
        return known.get(found[1]) or found[2] or ""

    expression = re.compile(r"\$\{\{ ([\w.]+)(?: \|\| '([^']*)')? \}\}")
    return {name: expression.sub(value, text) for name, text in step.env.items()}


def carry_out(command: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step's command in the repository with these variables alone."""
    # GitHub's own way where a step names no shell.
    shell = ["bash", "-e", "-c", command]
    return subprocess.run(
        shell,
        cwd=ROOT,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

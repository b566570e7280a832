"""GitHub's workflows: what they use is pinned, and their steps are commands of this repository."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEXT = {path.stem: path.read_text(encoding="utf-8") for path in FILES}

SECRETS = {
    "KUBECONFIG",
    "HETZNER_API_TOKEN",
    "DNS_ZONE",
    "DATABASE_URL",
    "RESEND_API_KEY",
    "HETZNER_S3_ACCESS_KEY",
    "HETZNER_S3_SECRET_KEY",
    "REGISTRY_JWT_SECRET",
    "SECRET_KEY",
}


@pytest.mark.parametrize("name", TEXT)
def test_every_action_is_a_commit_and_says_its_version(name: str) -> None:
    used = re.findall(r"uses: (.*)", TEXT[name])
    assert used
    for each in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[0-9.]+", each), each


@pytest.mark.parametrize("name", TEXT)
def test_a_workflow_may_read_and_each_job_says_what_more(name: str) -> None:
    assert "\npermissions:\n  contents: read\n" in TEXT[name]


def test_production_takes_the_secrets_that_the_operators_page_lists() -> None:
    assert set(re.findall(r"secrets\.(\w+)", TEXT["cd"])) == SECRETS | {"GITHUB_TOKEN"}
    assert set(re.findall(r"secrets\.(\w+)", TEXT["ci"])) == set()


def test_every_make_target_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"run: make (\S+)", "".join(TEXT.values())):
        name = target.replace(".venv", "$(VENV)")
        assert f"\n{name}:" in makefile, target


def test_every_command_is_there() -> None:
    text = "".join(TEXT.values())
    done = subprocess.run(
        [sys.executable, "-m", "maxcloud_hetzner", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for command in re.findall(r"-m maxcloud_hetzner (\w+)", text):
        assert f" {command} " in done.stdout
    for script in re.findall(r"(deploy/[a-z-]+) ", text):
        assert (ROOT / script).stat().st_mode & 0o111


def test_what_runs_in_a_shell_takes_what_others_wrote_from_variables_alone() -> None:
    """`${{ … }}` in a script is put there before the shell reads it, whatever it holds."""
    for text in TEXT.values():
        for script in re.findall(r"run: (?:\|\n((?: {10,}.*\n)+)|(.*))", text):
            assert "${{" not in "".join(script)

"""docs/operator.md says what is true: variables, files, commands and sums."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from maxcloud_hetzner import manifests
from tests.unit.test_config import variables

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
FUNCTIONS = sorted((ROOT / "deploy" / "base" / "functions").glob("*.yaml"))
HETZNER = ROOT / "deploy" / "hetzner" / "maxcloud_hetzner"

OF_FUNCTIONS, OF_COMMANDS = "Of the functions", "Of an operator's commands"


def rows(heading: str) -> dict[str, str]:
    """A table of the page: the first cell's variable → the second cell."""
    table = PAGE.partition(heading)[2].partition("\n\n|")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| ?`([A-Z0-9_]+)` \| (.*?) \|", "|" + table, re.MULTILINE))


def readers(variable: str) -> set[str]:
    """The functions whose manifest gives them a variable by itself."""
    found = set()
    for path in FUNCTIONS:
        ksvc = yaml.safe_load(path.read_text(encoding="utf-8"))
        [container] = ksvc["spec"]["template"]["spec"]["containers"]
        if variable in {each["name"] for each in container["env"]}:
            found.add(path.stem)
    return found


def test_every_variable_of_the_functions_is_there() -> None:
    assert set(rows(OF_FUNCTIONS)) == variables() | {"K_SINK"}


@pytest.mark.parametrize(
    "variable", ["DATABASE_URL", "SECRET_KEY", "REGISTRY_JWT_SECRET", "RESEND_API_KEY", "SMTP_URL"]
)
def test_who_reads_a_secret_is_what_the_manifests_say(variable: str) -> None:
    said = rows(OF_FUNCTIONS)[variable]
    every = {path.stem for path in FUNCTIONS}
    listed = every if said.startswith("every function") else set(said.split(", "))
    assert listed == readers(variable)


def test_every_variable_of_the_commands_is_there() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in sorted(HETZNER.glob("*.py")))
    used = set(re.findall(r'envvar="(\w+)"', code)) | set(
        re.findall(r'_required\(env, "(\w+)"', code)
    )
    used |= set(re.findall(r'env\.get\("(\w+)"', code)) | set(manifests.VARIABLES)
    roll_out = (ROOT / "deploy" / "roll-out").read_text(encoding="utf-8")
    used |= set(re.findall(r"\$\{(\w+):-", roll_out))
    theirs = {
        "HCLOUD_ENDPOINT",
        "IMAGE_NAME",
        "IMAGE_DIGEST",
    }  # a test's, and MAXCLOUD_IMAGE's halves
    of_functions = {"DATABASE_URL", "SECRET_KEY", "REGISTRY_JWT_SECRET"}
    assert set(rows(OF_COMMANDS)) == used - theirs - of_functions | {"HETZNER_API_TOKEN"}


def test_every_file_that_it_names_is_there() -> None:
    for path in re.findall(r"`((?:deploy|eventing|\.github)/[^` ]*)`", PAGE):
        assert (ROOT / path).exists(), path
    for link in re.findall(r"\]\(([^):#]+)[^):]*\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link


def test_every_command_and_option_that_it_names_is_there() -> None:
    called = set(re.findall(r"-m maxcloud_hetzner (\w+)((?: --[\w-]+)*)", " ".join(PAGE.split())))
    assert {command for command, _ in called} == {
        "up",
        "firewall",
        "components",
        "manifests",
        "down",
    }
    for command, options in called:
        asked = [sys.executable, "-m", "maxcloud_hetzner", command, "--help"]
        help = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        for option in options.split():
            assert option in help


def test_the_sums_are_right() -> None:
    table = PAGE.partition("## What it costs at rest")[2].partition("\n\n| What")[2]
    lines = re.findall(r"\| (\d+)(?: GB)? \| ([\d.]+) \| ([\d.]+) \|", table)
    assert len(lines) == 3
    sums = [round(int(count) * float(each), 2) for count, each, _ in lines]
    assert [f"{each:.2f}" for each in sums] == [said for *_, said in lines]
    assert f"**{sum(sums):.2f}**" in table

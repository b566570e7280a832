"""README.md and README.de.md say the same, of what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.de.md")}


def commands(text: str, program: str) -> set[str]:
    """What is typed: the first word after the program, in what stands as code."""
    code = "\n".join(re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL))
    return set(re.findall(rf"\b{program}\s+([a-z][a-z-]*)", code))


@pytest.mark.parametrize("program", ["make", "maxcloud"])
def test_the_german_one_knows_no_other_commands(program: str) -> None:
    german = commands(TEXT["README.de.md"], program)
    assert german
    assert german <= commands(TEXT["README.md"], program)


@pytest.mark.parametrize("name", TEXT)
def test_every_target_and_file_is_there(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in commands(TEXT[name], "make"):
        assert f"\n{target}:" in makefile, target
    for link in re.findall(r"\]\(([^):#]+)[^):]*\)", TEXT[name]):
        assert (ROOT / link).exists(), link

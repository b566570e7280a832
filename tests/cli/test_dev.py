"""`maxcloud dev` around the engine: what is printed, and what is missing. The rest: tests/local."""

import subprocess
import sys
import threading

import pytest

from maxcloud_cli.commands.dev import bring_back
from maxcloud_cli.live import Lines
from maxcloud_local.happenings import Happening

WITHOUT_THE_ENGINE = """
import sys
sys.modules["maxcloud_local"] = None
sys.argv = ["maxcloud", "dev"]
from maxcloud_cli.main import main
sys.exit(main())
"""


def test_without_its_packages_it_says_what_to_install() -> None:
    command = [sys.executable, "-c", WITHOUT_THE_ENGINE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: the local engine is not installed: the package maxcloud_local is missing",
        "Hint: pip install 'maxcloud[local]'",
    ]


def test_happenings_are_lines_once_the_welcome_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.tell(Happening("services", "wakes", "0 → 1"))
    assert capsys.readouterr().out == ""
    lines.begin()
    lines.tell(Happening("shop", "failed", "no\x1b[2J thing"))
    lines.end()
    lines.tell(Happening("shop", "sleeps", "1 → 0"))
    first, second = (line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines())
    assert first[1:] == ["services", "wakes", "0 → 1"]
    assert second[1:] == ["shop", "failed", "no\N{REPLACEMENT CHARACTER}[2J thing"]


def test_what_was_deployed_before_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    found: set[str] = set()
    threading.Timer(0.2, found.update, [["shop", "api"]]).start()
    bring_back(["shop", "api"], found.__contains__)
    title, *steps = capsys.readouterr().err.splitlines()
    assert title == "Bringing back 2 services"
    assert [step.split()[1] for step in steps] == ["shop", "api"]

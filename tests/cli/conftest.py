"""What the tests of the command line share: a scripted API and the real `maxcloud` process."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.scripted import ScriptedAPI, scripted_api

MAXCLOUD = Path(sys.executable).with_name("maxcloud")


@pytest.fixture
def scripted() -> Iterator[ScriptedAPI]:
    with scripted_api() as running:
        yield running


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Maxcloud:
    """Runs `maxcloud` as a person without a terminal does; only `env` decides, not the machine."""

    env: dict[str, str]

    def __call__(self, *words: str, stdin: str = "", **env: str) -> Done:
        run = subprocess.run(
            [MAXCLOUD, *words],
            env=self.env | env,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert "Traceback" not in run.stderr, run.stderr
        return Done(run.returncode, run.stdout, run.stderr)

    @contextmanager
    def start(self, *words: str) -> "Iterator[subprocess.Popen[str]]":
        """Start it; whatever becomes of the test, it does not outlive it."""
        with subprocess.Popen(
            [MAXCLOUD, *words],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def ended(process: "subprocess.Popen[str]") -> Done:
    """Wait for the end of a process; `communicate` would lose what a `readline` has read ahead."""
    assert process.stdout is not None
    assert process.stderr is not None
    too_long = threading.Timer(30, process.kill)
    too_long.start()
    out, err = process.stdout.read(), process.stderr.read()
    too_long.cancel()
    return Done(process.wait(), out, err)


def without_times(err: str) -> list[str]:
    """The lines of stderr; a step's seconds, which differ, become `N s`."""
    lines = []
    for line in err.splitlines():
        words = line.split()
        if words[:1] in (["✓"], ["✗"], ["+"], ["x"]):
            seconds = words.index("s") - 1
            assert float(words[seconds]) >= 0
            words[seconds] = "N"
            lines.append(" ".join(words))
        else:
            lines.append(line)
    return lines


def against(url: str, config: Path | str = "/nowhere") -> Maxcloud:
    env = {"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "PYTHONWARNINGS": "error"}
    return Maxcloud(env | {"MAXCLOUD_API_URL": url, "XDG_CONFIG_HOME": str(config)})


@pytest.fixture
def maxcloud(scripted: ScriptedAPI) -> Maxcloud:
    return against(scripted.url)

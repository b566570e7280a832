"""What a command costs, beside an empty Python and beside kubectl."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.bench import lean
from tests.bench.figures import Goal, compared, take_turns
from tests.bench.report import Section
from tests.local.backend import Engine

ROUNDS = 15

EMPTY, KUBECTL = "`python -c pass`", "`kubectl version --client`"

ABOUT = """\
Milliseconds of one command, from making its process to its end. `maxcloud version`, `maxcloud list`
and `kubectl get ksvc` ask the local engine, whose functions are awake; the other commands ask
nobody. The first table is the base install (`pipx install maxcloud`), the second the developers'
environment, whose `python -c pass` is slower by itself."""


@pytest.fixture(scope="module")
def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not installed")
    return found


def test_cli(awake: Engine, kubectl: str, tmp_path: Path, show: Callable[[Section], None]) -> None:
    of_engine = [kubectl, "--kubeconfig", str(awake.data / "kubeconfig")]
    peers = {
        KUBECTL: [kubectl, "version", "--client"],
        "`kubectl get ksvc`": [*of_engine, "get", "ksvc"],
    }
    asking = {"MAXCLOUD_API_URL": awake.api_url}
    tables = []
    for commands in (lean.environment(tmp_path / "lean"), Path(sys.executable).parent):
        maxcloud = str(commands / "maxcloud")
        ours = {
            "`maxcloud --help`": [maxcloud, "--help"],
            "`maxcloud version`": [maxcloud, "version"],
            "`maxcloud list`": [maxcloud, "list"],
        }
        contenders = {EMPTY: [str(commands / "python"), "-c", "pass"], **ours, **peers}
        turns = {
            name: partial(milliseconds, command, {"HOME": str(tmp_path)} | asking)
            for name, command in contenders.items()
        }
        goals = {
            "`maxcloud --help`": [Goal(EMPTY, most=6)],
            "`maxcloud version`": [Goal(EMPTY, most=15)],
        }
        tables.append(compared("ms", take_turns(turns, ROUNDS), [EMPTY, KUBECTL], goals))
    show(Section("The command line", ABOUT, tables))


def milliseconds(command: list[str], environment: Mapping[str, str]) -> float:
    environment = {"PATH": os.environ["PATH"], **environment}
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000

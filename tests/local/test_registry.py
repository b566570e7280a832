"""The private registry beside the engine: it ends with it, and the engine does without it."""

import os
import shutil
from pathlib import Path

import httpx
import psutil
import pytest

from maxcloud_local import registry
from tests.journeys.platform import eventually
from tests.local.backend import Engine, engine

TOKEN = "/api/v1/registry/token"


def programs(started: Engine) -> list[int]:
    """The processes of Distribution that an engine has started."""
    config = str(started.data / "registry" / "config.json")
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[1:] == ["serve", config]
    ]


@pytest.mark.skipif(registry.find() is None, reason="no Distribution here: make registry")
def test_it_ends_with_the_engine_however_that_ends() -> None:
    with engine() as started:
        assert len(programs(started)) == 1
        config = started.data / "registry" / "config.json"
        assert config.stat().st_mode & 0o777 == 0o600
        started.kill()
        eventually("programs", lambda: programs(started), 10, lambda left: left == [])
        started.start()
        assert len(programs(started)) == 1
        answer = httpx.get(f"{started.api_url}{TOKEN}")
        assert answer.status_code == 200
        started.stop()
        assert programs(started) == []


def test_without_it_the_engine_says_what_to_install(tmp_path: Path) -> None:
    # A search path without the program.
    folders = [
        folder
        for folder in os.environ["PATH"].split(os.pathsep)
        if not shutil.which(registry.BINARY, path=folder)
    ]
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PATH": os.pathsep.join(folders)}
    with engine(env=env) as started:
        assert programs(started) == []
        answer = httpx.get(f"{started.api_url}{TOKEN}")
        assert answer.status_code == 503
        assert answer.json()["code"] == "unavailable"
        eventually("line", started.said, 10, lambda said: "make registry" in said)

"""The engine ends with everything it started, and comes back with everything that was deployed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.journeys.platform import Platform, eventually
from tests.local.backend import Engine, engine


@pytest.fixture
def own() -> Iterator[Engine]:
    """An engine of this test's own, to be killed."""
    with engine() as started:
        yield started


def family(engine: Engine) -> list[psutil.Process]:
    """The engine's process and every one that it started, the database's apart."""
    assert engine.process is not None
    process = psutil.Process(engine.process.pid)
    return [process, *process.children(recursive=True)]


def still_there(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that have not ended; one that nobody has asked for its end has ended."""
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def sample(engine: Engine) -> int:
    platform = Platform(engine)
    return platform.get(platform.url("hello")).status_code


def test_ctrl_c_ends_everything(own: Engine) -> None:
    assert sample(own) == 200
    started = [*family(own), database(own)]
    own.stop()
    eventually("processes", lambda: still_there(started), 5, lambda left: left == [])
    assert "Traceback" not in own.said()


def test_after_kill_9_every_service_comes_back(own: Engine) -> None:
    platform = Platform(own)
    platform.maxcloud("deploy", "maxcloud.local/hello", "--name", "second", "--env", "TARGET=two")
    assert sample(own) == 200
    started = family(own)
    own.kill()
    # What it had started hears of it.
    eventually("processes", lambda: still_there(started), 5, lambda left: left == [])
    own.start()
    eventually("hello", lambda: sample(own), 30, lambda status: status == 200)
    second = platform.url("second")
    answer = eventually("second", lambda: platform.get(second), 30, lambda a: a.status_code == 200)
    assert "Hello two" in answer.text
    assert "ready" in platform.maxcloud("list").out


def test_a_second_engine_is_told_what_is_in_its_way(own: Engine) -> None:
    same_folder = Platform(own).maxcloud("dev", "--data-dir", str(own.data), "--port", "1", code=1)
    assert "already running" in same_folder.err
    port = own.api_url.rpartition(":")[2]
    folder = Path(tempfile.mkdtemp(prefix="mc-"))
    same_port = Platform(own).maxcloud("dev", "--data-dir", str(folder), "--port", port, code=1)
    shutil.rmtree(folder)
    assert f"port {port} is taken" in same_port.err
    assert "--port" in same_port.err


def test_without_a_container_engine_the_reason_says_what_to_install(tmp_path: Path) -> None:
    with engine(env=os.environ | {"PATH": str(tmp_path)}) as bare:
        platform = Platform(bare)
        assert sample(bare) == 200
        failed = platform.maxcloud("deploy", "localhost/shop", "--name", "shop", code=1)
        assert "NoContainerEngine" in failed.err
        assert "install Podman" in failed.err
        assert sample(bare) == 200


def database(engine: Engine) -> psutil.Process:
    return psutil.Process(int((engine.data / "postgres/postmaster.pid").read_text().split()[0]))

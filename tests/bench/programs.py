"""Programs that serve: how they start, until their first answer, and what memory they take."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import FUNCTIONS, TestDatabase

PEERS = Path(__file__).parent / "peers"

# How long a program may take to its first answer.
START_SECONDS = 60

# Below those that the system gives to clients: on a busy machine one of them would soon be taken.
PORTS = range(20_000, 32_000)


@dataclass(frozen=True)
class Program:
    """A program; `path` is what its first request asks for."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    path: str = "/"


@dataclass(frozen=True)
class Started:
    """A program that has answered, `seconds` after its process was made."""

    process: subprocess.Popen[bytes]
    port: int
    seconds: float

    def memory(self) -> tuple[float, float]:
        """Return RSS and PSS in MiB (Linux); what processes share counts in PSS by its share."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="ascii")
        sizes = {line.split()[0]: line.split()[1] for line in text.splitlines()[1:]}
        return int(sizes["Rss:"]) / 1024, int(sizes["Pss:"]) / 1024


def function(name: str, database: TestDatabase) -> Program:
    """Return a function of ours; its first answer is its probe's, that of services a list."""
    environment = {
        "FUNCTION_TARGET": name,
        "FUNCTION_SOURCE": str(FUNCTIONS / f"{name}.py"),
        "DATABASE_URL": database.worker if name in WORKERS else database.api,
        "DEV_MODE": "true",
        "MAXCLOUD_DOMAIN": "localhost:8080",
        "HOST": "127.0.0.1",
    }
    path = "/api/v1/services" if name == "services" else "/healthz"
    return Program((sys.executable, "-m", "maxcloud.runtime"), environment, path)


WORKERS = frozenset({"reconcile", "status", "mailer"})


def bare() -> Program:
    """Return a function that does nothing."""
    return Program((sys.executable, str(PEERS / "bare.py")))


def with_fastapi(database: TestDatabase) -> Program:
    """Return a FastAPI app that lists and creates the same services."""
    return Program(
        # It warns of how it reads our model.
        (sys.executable, "-W", "ignore", str(PEERS / "with_fastapi.py")),
        {"DATABASE_URL": database.api},
        "/api/v1/services",
    )


@contextmanager
def started(program: Program) -> Iterator[Started]:
    """Run a program inside the block."""
    port = _free_port()
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**kept, **program.environment, "PORT": str(port)}
    began = time.perf_counter()
    process = subprocess.Popen(program.command, env=environment, stdout=subprocess.DEVNULL)
    try:
        _ask_until_it_answers(process, port, program.path, began + START_SECONDS)
        yield Started(process, port, time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait()


def _ask_until_it_answers(
    process: subprocess.Popen[bytes], port: int, path: str, deadline: float
) -> None:
    while time.perf_counter() < deadline and process.poll() is None:
        try:
            ask(port, path)
        except ConnectionRefusedError:
            time.sleep(0.001)
        else:
            return
    raise AssertionError(f"{process.args!r} did not answer")


def ask(port: int, path: str) -> None:
    """Send one GET on a connection of its own; the answer must be 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), START_SECONDS) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 "), answer


def _free_port() -> int:
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no port is free")

"""A `reconcile` of our own, on this machine, whose sweeps can be timed."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.bench import programs
from tests.bench.programs import Program
from tests.conftest import TestDatabase

Sweep = Callable[[], float]


@contextmanager
def sweeping(worker_url: str, kubeconfig: Path) -> Iterator[Sweep]:
    """Yield what makes one sweep and returns its seconds; without a broker it follows its hints."""
    program = programs.function("reconcile", TestDatabase("", "", worker_url))
    environment = {**program.environment, "KUBECONFIG": str(kubeconfig)}
    with (
        programs.started(Program(program.command, environment, program.path)) as running,
        httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=120) as client,
    ):
        yield lambda: _sweep(client)


def _sweep(client: httpx.Client) -> float:
    attributes = {
        "id": str(uuid.uuid4()),
        "source": "/bench",
        "type": "dev.knative.sources.ping",
        "specversion": "1.0",
    }
    headers = {f"ce-{name}": value for name, value in attributes.items()}
    began = time.perf_counter()
    answer = client.post("/", headers=headers)
    assert answer.status_code == 204, answer.text
    return time.perf_counter() - began

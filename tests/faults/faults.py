"""The faults: each is a block while which something is amiss."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.faults.cluster import Cluster
from tests.faults.local import BROKER
from tests.faults.target import Target

SOURCES = "/apis/sources.knative.dev/v1/namespaces/mc-system"
ADAPTER, TIMER = f"{SOURCES}/apiserversources/services", f"{SOURCES}/pingsources/sweep"


@contextmanager
def broker_away(target: Target) -> Iterator[None]:
    """Nobody takes events: on the engine the Broker is gone, in a cluster its front door."""
    if isinstance(target.backend, Cluster):
        door = ("knative-eventing", "mt-broker-ingress")
        target.backend.scale(*door, 0)
        try:
            yield
        finally:
            target.backend.scale(*door, 1)
    else:
        with target.without(BROKER):
            yield


@contextmanager
def sources_away(target: Target) -> Iterator[None]:
    """Nobody tells of changes in the cluster, and no timer of the time."""
    with target.without(ADAPTER, TIMER):
        yield


@contextmanager
def postgres_frozen(target: Target) -> Iterator[None]:
    """PostgreSQL takes connections and answers nothing: the kernel does the first by itself."""
    with _stopped(target.backend.postgres()):
        yield


@contextmanager
def postgres_slow(target: Target, awake: float = 0.02, asleep: float = 0.2) -> Iterator[None]:
    """PostgreSQL works a fraction of the time: everything takes some ten times as long."""
    end = threading.Event()

    def slow_down() -> None:
        while not end.wait(awake):
            with _stopped(target.backend.postgres()):
                end.wait(asleep)

    thread = threading.Thread(target=slow_down)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@contextmanager
def _stopped(processes: list[psutil.Process]) -> Iterator[None]:
    # The first one last: it must not see its children stop, and is the first to go on.
    for process in reversed(processes):
        _send(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            _send(process, signal.SIGCONT)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return  # a connection that has ended meanwhile

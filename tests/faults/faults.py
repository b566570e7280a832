"""The faults: each is a block while which something is amiss."""

import base64
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.faults.cluster import Cluster
from tests.faults.compare import Object
from tests.faults.local import BROKER
from tests.faults.target import Target, add_variables

SOURCES = "/apis/sources.knative.dev/v1/namespaces/mc-system"
CONFIG_MAPS = "/api/v1/namespaces/mc-system/configmaps"
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
def clock_off(target: Target, seconds: Mapping[str, int]) -> Iterator[None]:
    """Functions believe that it is earlier or later, as on nodes whose clocks are off."""
    if not isinstance(target.backend, Cluster):
        with target.running_otherwise(seconds, lambda function, pod: shift(pod, seconds[function])):
            yield
        return

    def change(function: str, pod: Object) -> None:
        shift(pod, seconds[function])
        volume = {"name": "faketime", "configMap": {"name": "faketime"}}
        pod.setdefault("volumes", []).append(volume)
        mounts = pod["containers"][0].setdefault("volumeMounts", [])
        mounts.append({"name": "faketime", "mountPath": str(library().parent), "readOnly": True})

    content = base64.b64encode(library().read_bytes()).decode()
    metadata = {"name": "faketime", "namespace": "mc-system"}
    made = {"metadata": metadata, "binaryData": {library().name: content}}
    target.backend.write("POST", CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap"} | made)
    try:
        with target.running_otherwise(seconds, change):
            yield
    finally:
        target.backend.write("DELETE", f"{CONFIG_MAPS}/faketime")


def shift(pod: Object, seconds: int) -> None:
    """Shift the clock of a pod's process; the one that only counts on stays."""
    clock = {"LD_PRELOAD": str(library()), "FAKETIME": f"{seconds:+}s"}
    add_variables(pod, clock | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"})


def library() -> Path:
    """Return libfaketime, which answers in the C library's place what time it is."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("no libfaketime on this machine: install Debian's faketime")
    return found[0]


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

"""One instance from its start to its end, with real processes and real files of functions."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from maxcloud.knative import status
from maxcloud_local.instances.instances import Failure, Instance
from maxcloud_local.kinds import POD
from maxcloud_local.logs import Log
from tests.local.nursery import SAMPLE, Nursery, get, nursery, revision, variables
from tests.local.standins import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Nursery]:
    async with nursery(tmp_path) as made:
        yield made


def function(here: Path, source: str, **container: Any) -> Any:
    """Return a revision of a function whose file says this."""
    (here / "fn.py").write_text(source, encoding="utf-8")
    env = {"FUNCTION_TARGET": "fn", "DATABASE_URL": "postgresql://none/x", "DEV_MODE": "1"}
    env["MAXCLOUD_DOMAIN"] = "localhost"
    return revision("maxcloud", namespace="mc-system", env=variables(env), **container)


def verdict(here: Nursery, instance: Instance) -> tuple[str, str, str]:
    """Return what the platform makes of a service with this one pod."""
    ksvc = {
        "metadata": {
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "resourceVersion": "1",
        }
    }
    seen = status.observe(ksvc, None, [here.pod(instance)], datetime.now(UTC))
    return seen.status, seen.reason, seen.message


async def test_its_life(here: Nursery) -> None:
    instance = here.start(revision(SAMPLE))
    assert instance.pod.startswith("hello-00001-")
    pod = here.pod(instance)
    assert pod["metadata"]["labels"] == {
        "serving.knative.dev/service": "hello",
        "serving.knative.dev/revision": "hello-00001",
        "maxcloud.dev/managed": "true",
    }
    assert pod["spec"]["containers"] == [{"name": "user-container", "image": SAMPLE}]
    assert pod["status"]["phase"] == "Pending"
    assert here.container(instance)["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert not instance.ready

    await until(lambda: instance.ready)
    assert (await get(instance)).status_code == 200
    pod = here.pod(instance)
    assert pod["status"]["phase"] == "Running"
    assert {"type": "Ready", "status": "True"} in pod["status"]["conditions"]
    container = here.container(instance)
    assert (container["ready"], container["restartCount"]) == (True, 0)
    assert "startedAt" in container["state"]["running"]
    assert (instance.failure, instance.gave_up) == (None, False)
    assert here.changes == 1

    log = here.log(instance)
    follower = asyncio.create_task(_all(log))
    await instance.stop()
    assert (await follower)[-1] == "stopped"
    assert (instance.ready, instance.leaving, here.changes) == (False, True, 2)
    assert here.pod(instance) is None
    assert here.logs.find("default", instance.pod) is None
    await instance.stop()


async def _all(log: Log) -> list[str]:
    return [line.text async for lines in log.read(follow=True) for line in lines]


async def test_a_crash_is_told_after_the_second_time(here: Nursery, tmp_path: Path) -> None:
    source = "import os\nprint('no DATABASE', flush=True)\nos._exit(3)\n"
    instance = here.start(function(tmp_path, source))
    await until(lambda: instance.failure)
    assert instance.failure == Failure("ExitCode3", "no DATABASE")
    assert (instance.ready, instance.gave_up) == (False, True)
    container = here.container(instance)
    assert container["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert container["restartCount"] == 1
    ended = container["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (3, "Error", "no DATABASE")
    assert verdict(here, instance) == (
        *("failed", "ExitCode3"),
        "the container stopped with exit code 3 before it was ready; its last output:\nno DATABASE",
    )
    # It is in its back-off now, and can be ended in it.
    async with asyncio.timeout(2):
        await instance.stop()


async def test_it_is_restarted_at_once_the_first_time(here: Nursery, tmp_path: Path) -> None:
    instance = here.start(revision(SAMPLE))
    await until(lambda: instance.ready)
    before = instance.address
    here.kill(instance)
    await until(lambda: not instance.ready)
    await until(lambda: instance.ready)
    assert instance.address != before
    assert (await get(instance)).status_code == 200
    assert here.container(instance)["restartCount"] == 1
    assert here.container(instance)["lastState"]["terminated"]["exitCode"] == 137

    here.kill(instance)
    await until(lambda: instance.failure)
    assert not instance.gave_up  # it has been ready
    assert here.container(instance)["state"]["waiting"]["reason"] == "CrashLoopBackOff"


async def test_a_deleted_pod_ends_its_instance(here: Nursery) -> None:
    instance = here.start(revision(SAMPLE))
    other = here.start(revision(SAMPLE))
    await until(lambda: instance.ready and other.ready)
    here.store.delete(POD, "default", instance.pod)
    await until(lambda: instance.leaving)
    assert "deletionTimestamp" in here.pod(instance)["metadata"]
    await until(lambda: here.pod(instance) is None)
    assert other.ready
    # Whoever takes the finalizer away changes nothing about that.
    here.store.finish(POD, "default", other.pod)
    await until(lambda: other.leaving)
    await other.stop()


async def test_the_deaf_are_killed(here: Nursery, tmp_path: Path) -> None:
    source = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\ntime.sleep(100)\n"
    )
    instance = here.start(function(tmp_path, source, spec={"timeoutSeconds": 1}))
    await until(lambda: "deaf" in here.output(instance))
    assert not instance.ready
    async with asyncio.timeout(8):
        await instance.stop()


async def test_what_it_leaves_behind_goes_with_it(here: Nursery, tmp_path: Path) -> None:
    source = (
        "import subprocess, os\n"
        "print(subprocess.Popen(['sleep', '1000']).pid, flush=True)\nos._exit(0)\n"
    )
    instance = here.start(function(tmp_path, source))
    await until(lambda: instance.failure)
    assert instance.failure == Failure("ExitCode0", "")
    left = [int(text) for text in here.output(instance).split()]
    assert len(left) == 2
    await until(lambda: not any(map(psutil.pid_exists, left)))


async def test_the_readiness_probe_asks_its_path(here: Nursery) -> None:
    probe = {"httpGet": {"path": "/?sleep=never"}}  # which the sample answers with 400
    instance = here.start(revision(SAMPLE, readinessProbe=probe))
    await until(lambda: here.output(instance).count("sleep=never") > 2)
    assert not instance.ready
    assert verdict(here, instance)[0] == "pending"
    fine = here.start(revision(SAMPLE, readinessProbe={"httpGet": {"path": "/ok"}}))
    await until(lambda: fine.ready)


async def test_a_missing_secret(here: Nursery) -> None:
    env = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "vault", "key": "x"}}}]
    instance = here.start(revision(SAMPLE, env=env))
    await until(lambda: instance.failure)
    assert instance.failure == Failure("CreateContainerConfigError", 'secret "vault" not found')
    assert instance.gave_up
    assert here.container(instance)["state"]["waiting"]["reason"] == "CreateContainerConfigError"


async def test_stopping_before_and_while_it_starts(here: Nursery) -> None:
    never = here.instances.instance(revision(SAMPLE), lambda: None)
    await never.stop()
    never.start()
    assert here.pod(never) is None
    instance = here.start(revision(SAMPLE))
    await instance.stop()
    assert here.pod(instance) is None


async def test_who_waits_for_the_end_may_go_away(here: Nursery) -> None:
    instance = here.start(revision(SAMPLE))
    await until(lambda: instance.ready)
    waiting = asyncio.create_task(instance.stop())
    await asyncio.sleep(0)
    waiting.cancel()
    await until(lambda: here.pod(instance) is None)


async def test_long_and_broken_lines(here: Nursery, tmp_path: Path) -> None:
    source = (
        "import os, sys\nout = sys.stdout.buffer\n"
        "out.write(b'x' * 150_000 + b'\\n\\n\\xff\\xfe\\nlast')\nout.flush()\nos._exit(1)\n"
    )
    instance = here.start(function(tmp_path, source))
    await until(lambda: instance.failure)
    lines = [line.text for line in here.log(instance).last(100)]
    once = lines[: len(lines) // 2]
    assert once == lines[len(lines) // 2 :]
    assert "".join(once[:-3]) == "x" * 150_000
    assert max(map(len, once)) <= 64 * 1024
    assert once[-3:] == ["", "\ufffd\ufffd", "last"]
    assert instance.failure is not None
    assert len(instance.failure.message.encode()) <= 2048

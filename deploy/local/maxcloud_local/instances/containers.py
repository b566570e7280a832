"""Instances that are containers of Podman or Docker."""

import asyncio
import json
import math
import os
import re
import resource
import signal
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from maxcloud.references import Reference
from maxcloud_local.instances.child import Child
from maxcloud_local.instances.engines import Engine, Engines
from maxcloud_local.instances.environment import expanded
from maxcloud_local.instances.ports import free_port
from maxcloud_local.instances.running import CannotStart, Ended, Job
from maxcloud_local.logs import Log
from maxcloud_local.store import Object

# Marks what an engine of ours has started; the value says which one.
LABEL = "maxcloud.dev/engine"

# Images of this host are those of the container engine; no registry is asked for them.
LOCAL_HOST = "localhost"

# The kernel's own limit of open files, fs.nr_open.
FILES_MAX = 1024 * 1024

# How long a client that was told to end may take: its container is gone already.
CLIENT_SECONDS = 5

_KILLED = 128 + signal.SIGKILL

_NEVER = "0001-01-01T00:00:00Z"
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_UNITS |= {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Container:
    """A running container; its client's exit code is its own."""

    is_proxied = True

    def __init__(self, engine: Engine, name: str, child: Child, port: int) -> None:
        self._engine, self._name, self._child = engine, name, child
        self.address = f"127.0.0.1:{port}"

    async def ended(self) -> Ended:
        """Wait for its end, and remove it."""
        code = await self._child.ended()
        found = await self._engine.inspect("container", self._name)
        await self._remove()
        state: dict[str, Any] = (found or {}).get("State", {})
        is_limited = bool((found or {}).get("HostConfig", {}).get("Memory"))
        is_suspect = self._engine.misses_oom and is_limited and code == _KILLED
        if state.get("OOMKilled") or is_suspect:
            return Ended(code, "OOMKilled")
        if state.get("StartedAt") == _NEVER:
            return Ended(code, "ContainerCannotRun")
        return Ended(code, "Error" if code else "Completed")

    async def stop(self, grace: float) -> None:
        """End it with the signal that its image asks for, and remove it."""
        seconds = math.ceil(grace)
        try:
            await self._engine.ask("stop", "-t", str(seconds), self._name, seconds=seconds + 15)
            await self._child.stop(CLIENT_SECONDS)
        finally:
            await self._remove()

    async def _remove(self) -> None:
        await _remove(self._engine, self._name)


class Containers:
    """Starts containers; `owner` tells those of this data folder from another's.

    `addresses` says where registries are whose host no resolver of the machine need know.
    """

    def __init__(
        self, engines: Engines, owner: str, addresses: Mapping[str, str] | None = None
    ) -> None:
        self._engines, self._owner = engines, owner
        self._addresses = addresses or {}
        # One pull of an image at a time: who waits finds it there.
        self._pulls: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def start(self, job: Job, log: Log) -> Container:
        """Start a container; pulls its image where it is not there. Raises CannotStart."""
        engine = await self._engines.require(job.image)
        image = await self._image(engine, job)
        name, port = f"maxcloud-{job.namespace}-{job.pod}", free_port()
        command = [
            *(engine.client, "run", "--name", name, "--hostname", job.pod),
            *("--label", f"{LABEL}={self._owner}", "--pull", "never"),
            *("--publish", f"127.0.0.1:{port}:{job.env['PORT']}"),
            *_limits(engine, job),
            *(word for key, value in job.env.items() for word in ("--env", f"{key}={value}")),
            *_command(job, image),
        ]
        try:
            child = await Child.start(command, os.environ, log)
        except (OSError, ValueError) as error:
            raise CannotStart("CreateContainerError", f"{engine.client} failed: {error}") from error
        except asyncio.CancelledError:
            await _remove(engine, name)
            raise
        return Container(engine, name, child, port)

    async def sweep(self) -> None:
        """Remove what an engine of this data folder left behind when it was killed."""
        if engine := await self._engines.find():
            label = f"label={LABEL}={self._owner}"
            listed = await engine.ask("ps", "--all", "--quiet", "--filter", label)
            if left := listed.output.split():
                await _remove(engine, *left)

    async def _image(self, engine: Engine, job: Job) -> str:
        reference = Reference.parse(job.image)
        host = self._addresses.get(reference.host, reference.host)
        # With its host it cannot be taken for an option, whatever a tenant called it.
        name = f"{host}/{reference.repository}"
        if reference.host == LOCAL_HOST:
            digest = reference.digest or ""
            pinned = re.fullmatch("sha256:[0-9a-f]{64}", digest)
            return (await self._engines.image(digest if pinned else f"{name}:{reference.tag}"))[0]
        name += f"@{reference.digest}" if reference.digest else f":{reference.tag}"
        async with self._pulls.setdefault(name, asyncio.Lock()):
            if await engine.inspect("image", name) is None:
                is_here = host != reference.host
                await _pull(engine, name, job.auths.get(reference.host), is_here=is_here)
        return name


async def _pull(engine: Engine, name: str, auth: Object | None, *, is_here: bool) -> None:
    """Pull an image, with what its registry asks for; one that is here speaks no TLS."""
    with tempfile.TemporaryDirectory(prefix="maxcloud-pull-") as folder:
        shown: list[str] = []
        config = Path(folder) / "config.json"
        if auth is not None:
            config.touch(mode=0o600)
            config.write_text(json.dumps({"auths": {name.partition("/")[0]: auth}}))
        if engine.client == "podman":
            shown += [f"--authfile={config}"] if auth is not None else []
            shown += ["--tls-verify=false"] if is_here else []
            before: list[str] = []
        else:  # Docker's daemon asks its own machine without TLS by itself
            before = ["--config", folder] if auth is not None else []
        pulled = await engine.ask(*before, "pull", "--quiet", *shown, name, seconds=None)
    if pulled.code:
        raise CannotStart("ErrImagePull", pulled.error)


def _command(job: Job, image: str) -> Iterator[str]:
    """Yield the image and what is started in it.

    As in Kubernetes: `command` replaces the image's ENTRYPOINT and drops its CMD, `args` replace
    its CMD.
    """
    command = [expanded(word, job.env) for word in job.container.get("command") or []]
    if command:
        yield from ("--entrypoint", command[0])
    yield image
    yield from command[1:]
    yield from (expanded(word, job.env) for word in job.container.get("args") or [])


def _limits(engine: Engine, job: Job) -> Iterator[str]:
    limits = (job.container.get("resources") or {}).get("limits") or {}
    if engine.limits_memory and "memory" in limits:
        memory = str(math.ceil(_quantity(limits["memory"])))
        # Without the second, as much again could be swapped.
        yield from ("--memory", memory, "--memory-swap", memory)
    if engine.limits_cpu and "cpu" in limits:
        yield from ("--cpus", str(min(_quantity(limits["cpu"]), engine.cpus)))
    if engine.is_child and Path("/proc").exists():
        # Podman asks for more than root may have where it lacks CAP_SYS_RESOURCE; it lowers its
        # own limit of processes to the kernel's number of process ids.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
        pids = int(Path("/proc/sys/kernel/pid_max").read_text())
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        processes = pids if hard == resource.RLIM_INFINITY else min(hard, pids)
        yield from ("--ulimit", f"nofile={files}:{files}")
        yield from ("--ulimit", f"nproc={processes}:{processes}")


def _quantity(text: str) -> float:
    """Return what a quantity of Kubernetes is in bytes or CPUs."""
    text = str(text)
    number = text.rstrip("mkMGTi")
    unit = text[len(number) :]
    return float(number) / 1000 if unit == "m" else float(number) * _UNITS[unit]


async def _remove(engine: Engine, *names: str) -> None:
    # Podman would give what still runs ten seconds to end.
    at_once = ("--time", "0") if engine.client == "podman" else ()
    await engine.ask("rm", "--force", *at_once, *names)

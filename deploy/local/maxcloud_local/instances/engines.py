"""Podman or Docker: whichever answers on this machine, and what it is asked."""

import asyncio
import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from maxcloud_local.instances.running import CannotStart

NO_ENGINE = (
    "{image} needs a container engine, and none answers on this machine: "
    "install Podman (podman.io) or Docker, then deploy again"
)

# How long an engine may take to say that it is there, and for anything else but a pull.
INFO_SECONDS, ANSWER_SECONDS = 10, 30

# How soon it is looked for again.
AGAIN_SECONDS = 3

CLIENTS = ("podman", "docker")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client said; `error` is the last line of its complaint."""

    code: int
    output: str
    error: str


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine.

    `client` is its command, `limits_memory` and `limits_cpu` whether it can, `cpus` how many it
    has. `is_child`: its containers are children of the client, with its limits. `misses_oom`: it
    cannot be trusted to notice that the kernel ended a container for its use of memory.
    """

    client: str
    limits_memory: bool
    limits_cpu: bool
    cpus: int
    is_child: bool
    misses_oom: bool

    async def ask(self, *arguments: str, seconds: float | None = ANSWER_SECONDS) -> Answer:
        """Run a command of the client; with None it may take as long as it takes."""
        return await _ask(self.client, *arguments, seconds=seconds)

    async def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return what the engine knows of an `image` or a `container`, or None."""
        answer = await self.ask(kind, "inspect", name)
        if answer.code:
            return None
        found: dict[str, Any] = json.loads(answer.output)[0]
        return found


class Engines:
    """Finds the engine by asking: a client alone is no engine."""

    def __init__(self) -> None:
        self._found: Engine | None = None
        self._asked_at = -AGAIN_SECONDS * 1.0
        self._lock = asyncio.Lock()

    async def require(self, image: str) -> Engine:
        """Return the engine of this machine; raises CannotStart when there is none for `image`."""
        engine = await self.find()
        if engine is None:
            raise CannotStart("NoContainerEngine", NO_ENGINE.format(image=image))
        return engine

    async def image(self, reference: str) -> tuple[str, list[str]]:
        """Return the id and the exposed ports of an image that is there.

        Raises CannotStart when it is not, or no engine.
        """
        engine = await self.require(reference)
        found = await engine.inspect("image", reference)
        if found is None:
            said = f"{reference} does not exist in {engine.client} on this machine"
            raise CannotStart("ErrImagePull", said)
        exposed = (found.get("Config") or {}).get("ExposedPorts") or {}
        # Docker says what the digest is of, Podman does not.
        return f"sha256:{found['Id'].removeprefix('sha256:')}", list(exposed)

    async def find(self) -> Engine | None:
        """Return the engine of this machine, or None."""
        async with self._lock:
            if self._found is None and time.monotonic() - self._asked_at >= AGAIN_SECONDS:
                for client in CLIENTS:
                    self._found = self._found or await _engine(client)
                self._asked_at = time.monotonic()
            return self._found


async def _engine(client: str) -> Engine | None:
    answer = await _ask(client, "info", "--format", "{{json .}}", seconds=INFO_SECONDS)
    try:
        info = json.loads(answer.output)
    except ValueError:
        return None
    # Without its daemon, Docker's client still says something.
    if answer.code or info.get("ServerErrors"):
        return None
    if client == "docker":
        memory, cpu = info.get("MemoryLimit", False), info.get("CpuCfsQuota", False)
        return Engine(client, memory, cpu, info.get("NCPU", 1), is_child=False, misses_oom=False)
    host = info["host"]
    controllers = host.get("cgroupControllers") or []
    remote = host.get("serviceIsRemote", False)
    return Engine(
        client,
        limits_memory="memory" in controllers,
        limits_cpu="cpu" in controllers,
        cpus=host["cpus"],
        is_child=not remote,
        # There, Podman's monitor hears of a container's end before it hears of the reason.
        misses_oom=host.get("cgroupVersion") == "v1",
    )


async def _ask(*command: str, seconds: float | None) -> Answer:
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Answer(127, "", f"{command[0]} cannot be run: {error}")
    try:
        async with asyncio.timeout(seconds):
            output, complaint = await child.communicate()
    except TimeoutError:
        return Answer(124, "", f"{command[0]} {command[1]} took more than {seconds} s")
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return Answer(child.returncode or 0, output.decode(errors="replace"), _last_line(complaint))


def _last_line(complaint: bytes) -> str:
    lines = complaint.decode(errors="replace").strip().splitlines()
    last = lines[-1].strip() if lines else ""
    return last.removeprefix("Error: ").removeprefix("Error response from daemon: ")

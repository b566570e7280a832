"""Instances that are processes of this environment: the platform's functions, and the sample.

Nothing else that a tenant names is ever one.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from maxcloud.references import Reference
from maxcloud_local.instances.child import Child
from maxcloud_local.instances.ports import free_port
from maxcloud_local.instances.running import CannotStart, Ended, Job
from maxcloud_local.logs import Log
from maxcloud_local.platform import SYSTEM

# The image that deploy/base names; an overlay would put a registry's in its place.
FUNCTIONS_IMAGE = "maxcloud"
LAUNCHER = "maxcloud.runtime"

# Images that this package is: no registry has this host.
OWN_HOST, SAMPLE = "maxcloud.local", "hello"
SAMPLE_MODULE = "maxcloud_local.instances.sample"
SAMPLE_SOURCE = Path(__file__).with_name("sample.py")

# What a process needs of this environment; everything else stays out.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


class Process:
    """A running process."""

    is_proxied = False

    def __init__(self, child: Child, port: int) -> None:
        self._child = child
        self.address = f"127.0.0.1:{port}"

    async def ended(self) -> Ended:
        """Wait for its end."""
        code = await self._child.ended()
        return Ended(code, "Error" if code else "Completed")

    async def stop(self, grace: float) -> None:
        """End it."""
        await self._child.stop(grace)


class Processes:
    """Starts processes.

    `functions` is the folder of the functions' files, `kubeconfig` leads to the engine's
    Kubernetes API, `addresses` says what begins of addresses of the cluster are here.
    """

    def __init__(self, functions: Path, kubeconfig: Path, addresses: Mapping[str, str]) -> None:
        self._functions, self._kubeconfig, self._addresses = functions, kubeconfig, addresses

    def has(self, job: Job) -> bool:
        """Tell whether an instance is a process, or may only be one."""
        return _is_function(job) or Reference.parse(job.image).host == OWN_HOST

    async def start(self, job: Job, log: Log) -> Process:
        """Start a process; raises CannotStart."""
        module = LAUNCHER if _is_function(job) else SAMPLE_MODULE
        own = self._of_function(job) if _is_function(job) else _of_sample(job)
        port = free_port()
        env = {name: os.environ[name] for name in INHERITED if name in os.environ}
        env |= own | {"HOSTNAME": job.pod, "HOST": "127.0.0.1", "PORT": str(port)}
        # -I: no module comes from the working directory, PYTHONPATH or the user's own folder.
        command = [sys.executable, "-I", "-m", "maxcloud_local.instances.lifeline", module]
        try:
            child = await Child.start(command, env, log, lifeline=True)
        except (OSError, ValueError) as error:
            raise CannotStart("CreateContainerError", f"no process can start: {error}") from error
        return Process(child, port)

    def _of_function(self, job: Job) -> dict[str, str]:
        env = {name: self._address(value) for name, value in job.env.items()}
        env["FUNCTION_SOURCE"] = str(self._functions / f"{env.get('FUNCTION_TARGET', '')}.py")
        if job.has_token:
            env["KUBECONFIG"] = str(self._kubeconfig)
        return env

    def _address(self, value: str) -> str:
        for there, here in self._addresses.items():
            if value.startswith(there):
                return here + value.removeprefix(there)
        return value


def no_such(image: str) -> CannotStart:
    """Return what to say of an image that this package does not have."""
    return CannotStart(
        "ErrImagePull", f"{image} does not exist: there is {OWN_HOST}/{SAMPLE} alone"
    )


def _is_function(job: Job) -> bool:
    return job.namespace == SYSTEM and job.image == FUNCTIONS_IMAGE


def _of_sample(job: Job) -> dict[str, str]:
    if Reference.parse(job.image).repository != SAMPLE:
        raise no_such(job.image)
    if job.container.get("command") or job.container.get("args"):
        raise CannotStart(
            "CreateContainerError",
            f"{OWN_HOST}/{SAMPLE} runs as it is: deploy it without a command and arguments",
        )
    # A tenant's variables never become those of a process of this machine (LD_PRELOAD and its
    # like): the sample reads them from one that nothing else looks at.
    ours = {name: value for name, value in job.env.items() if name.startswith("K_")}
    return ours | {"MAXCLOUD_SAMPLE_ENV": json.dumps(job.env)}

"""The programs of the operator's machine that are used: ssh and kubectl."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from maxcloud_hetzner.errors import BadSetting, ProgramFailed, Unreachable

# A manager of our own: under kubectl's, what others' files set would be taken away.
SERVER_SIDE = ("--server-side", "--force-conflicts", "--field-manager=maxcloud-hetzner")

# A machine that starts installs packages, then k3s.
MACHINE_SECONDS = 900


def require(*programs: str) -> None:
    """Raise BadSetting, naming the first program that is not there."""
    for program in programs:
        if shutil.which(program) is None:
            raise BadSetting(f"{program} is not on this machine, and it is needed: install it")


class Shell:
    """A machine's shell, as root. Its host key is kept at the first connection."""

    def __init__(self, address: str, machine: int, key: Path, known_hosts: Path) -> None:
        options = {
            # Its number and not its address, which another machine may get one day.
            "HostKeyAlias": f"hetzner-{machine}",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": str(known_hosts),
            "IdentitiesOnly": "yes",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        self._command = ["ssh", "-i", str(key), *words, f"root@{address}"]

    def run(self, command: str) -> str:
        """Return what a command prints; raises ProgramFailed."""
        return _run([*self._command, command])


class Kubectl:
    """kubectl, with one kubeconfig or as it is set up here."""

    def __init__(self, kubeconfig: Path | None = None) -> None:
        chosen = [] if kubeconfig is None else [f"--kubeconfig={kubeconfig}"]
        self._command = ["kubectl", *chosen]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Return what kubectl prints; raises ProgramFailed."""
        return _run([*self._command, *arguments], stdin)

    def apply(self, objects: str) -> None:
        """Apply objects as JSON or YAML; what is as it should be stays."""
        self.run("apply", *SERVER_SIDE, "-f", "-", stdin=objects)

    def wait_for(self, kind: str, name: str, pause: float) -> None:
        """Wait until an object is there; raises Unreachable."""
        wait_for(lambda: self.run("get", kind, name, "-o", "name"), f"{kind} {name}", pause)


def wait_for(
    ask: Callable[[], str], what: str, pause: float, patience: float = MACHINE_SECONDS
) -> str:
    """Ask until there is an answer, which may be an error meanwhile; raises Unreachable."""
    end = time.monotonic() + patience
    while True:
        last = ""
        try:
            if found := ask():
                return found
        except ProgramFailed as error:
            last = f" ({error})"
        if time.monotonic() > end:
            raise Unreachable(f"{what} did not come within {patience / 60:.0f} minutes{last}")
        time.sleep(pause)


def _run(command: list[str], stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ProgramFailed(command[0], done.stderr)
    return done.stdout

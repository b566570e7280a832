"""Where things are, and what the rest of the tests may use of the cluster.

Everything here is valid once `python -m tests.cluster up` has ended well.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The repository."""

STATE = Path("/var/lib/maxcloud-cluster")
"""Certificates, data, logs and sockets of the running cluster; `down` removes it."""

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maxcloud" / "cluster"
"""Binaries and images, kept across clusters and out of the tree."""

LOGS = STATE / "logs"
KUBECONFIG = STATE / "kubeconfig"
SECONDS_FILE = STATE / "seconds.json"
"""Seconds by step of the last `up` that started a cluster."""

GATEWAY_PORT = int(os.environ.get("MAXCLOUD_CLUSTER_PORT", "8080"))
GATEWAY = f"http://localhost:{GATEWAY_PORT}"
"""Kourier's external listener, as this machine reaches it."""

HOST_ADDRESS = "10.213.0.1"
"""This machine as pods reach it: a test's own server may listen here."""

MAIL_PORT = 587
"""Where a mail server of a test listens: the mailer's policy lets it out to the ports of mail."""

NODE_ADDRESS = "10.213.0.2"
"""The node as this machine and the pods reach it."""

PUBLIC_ADDRESS = "203.0.113.1"
"""This machine once more, as pods reach what is on the Internet (RFC 5737)."""

METADATA_ADDRESS = "169.254.213.1"
"""This machine once more, as pods reach the metadata service of a cloud."""

FAR_ADDRESSES = (PUBLIC_ADDRESS, METADATA_ADDRESS)

NODE_LINK = f"{HOST_ADDRESS}/30"
POD_RANGE = "10.214.0.0/22"
SERVICE_RANGE = "10.215.0.0/16"
API_SERVICE_ADDRESS = "10.215.0.1"
DNS_SERVICE_ADDRESS = "10.215.0.10"
NODE_GATEWAY_PORT = 8080

REGISTRY_HOST = "registry.maxcloud.test"
REGISTRY_PORT = 5443
REGISTRY = f"{REGISTRY_HOST}:{REGISTRY_PORT}"
"""The registry's name, known to pods, to the node and to `push_image`.

A test on this machine connects to NODE_ADDRESS under this name.
"""

CA_FILE = STATE / "pki" / "test-ca.crt"
"""The authority of the registry's certificate; `ca.crt` of ConfigMap mc-test-ca for pods."""

SYSTEM_NAMESPACE = "mc-system"


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl as cluster administrator and return what it prints.

    Raises subprocess.CalledProcessError, with the reason in its `stderr`.
    """
    command = [str(STATE / "bin" / "kubectl"), f"--kubeconfig={KUBECONFIG}", *arguments]
    return run(command, stdin=stdin)


def run(command: list[str], stdin: str | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command to its end and return its standard output.

    Raises subprocess.CalledProcessError, whose message ends with what the command said.
    """
    done = subprocess.run(
        command, check=False, input=stdin, env=env, text=True, capture_output=True
    )
    if done.returncode:
        raise CommandFailed(done.returncode, command, done.stdout, done.stderr)
    return done.stdout


class CommandFailed(subprocess.CalledProcessError):
    """A command failed; unlike its base it says in its message what the command said."""

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.stderr[-4000:].strip()}"

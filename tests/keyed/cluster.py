"""Organisations as the cluster has them: a namespace each, what bounds it, and what runs there."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from maxcloud.knative import isolation
from tests.cluster.environment import NODE_ADDRESS, kubectl
from tests.journeys.platform import eventually
from tests.keyed.platform import Person


def namespace_of(somebody: Person) -> str:
    return f"mc-org-{somebody('auth', 'status', '--quiet').out.strip()}"


def missing_in(namespace: str) -> list[str]:
    """The kinds of what bounds an organisation that are not there (yet)."""
    missing = []
    for each in isolation.objects(uuid.UUID(namespace.removeprefix("mc-org-")), namespace):
        kind, name = each["kind"].lower(), each["metadata"]["name"]
        where = () if kind == "namespace" else ("-n", namespace)
        if not kubectl("get", kind, name, *where, "--ignore-not-found", "-o", "name"):
            missing.append(each["kind"])
    return missing


def made_whole(somebody: Person) -> str:
    """Return the namespace of somebody's organisation, with all that bounds it."""
    namespace = namespace_of(somebody)
    eventually("what bounds it", lambda: missing_in(namespace), 60, lambda missing: not missing)
    return namespace


@dataclass(frozen=True)
class Pod:
    """A container with busybox in it, that commands run in."""

    namespace: str
    name: str
    container: str = "user-container"

    @property
    def address(self) -> str:
        return self.look("{.status.podIP}")

    def look(self, path: str) -> str:
        """Return what is at a path of its object, in kubectl's words."""
        where = ("pod", self.name, "-n", self.namespace)
        return kubectl("get", *where, "-o", f"jsonpath={path}")

    def run(self, *command: str) -> str:
        """Run a command of busybox; raises CalledProcessError when it fails."""
        where = (self.name, "-n", self.namespace, "-c", self.container)
        return kubectl("exec", *where, "--", "/bin/busybox", *command)

    def refusal(self, address: str, port: int) -> str:
        """Try to connect, and say nothing or why it cannot be."""
        try:
            self.run("nc", "-w", "3", address, str(port), "-e", "/bin/busybox", "true")
        except subprocess.CalledProcessError as error:
            return str(error.stderr)
        return ""


@dataclass(frozen=True)
class Shop:
    """A service of an organisation, with one instance that stays."""

    owner: Person
    namespace: str
    name: str

    @property
    def instance(self) -> Pod:
        selected = ("-l", f"serving.knative.dev/service={self.name}", "-n", self.namespace)
        newest = ("--sort-by=.metadata.creationTimestamp", "-o", "name")
        return Pod(
            self.namespace, kubectl("get", "pods", *selected, *newest).split("/")[-1].strip()
        )


@contextmanager
def shop(owner: Person, image: str) -> Iterator[Shop]:
    """Deploy a service that is there while the block runs, its network already bound."""
    opened = Shop(owner, made_whole(owner), f"o-{uuid.uuid4().hex[:8]}")
    owner("deploy", image, "--name", opened.name, "--min", "1")
    # The rules of a pod follow a moment after its address.
    eventually("its rules", lambda: opened.instance.refusal(NODE_ADDRESS, 6443), 30, bool)
    yield opened
    owner("delete", opened.name, "--yes")

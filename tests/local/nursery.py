"""Real instances over a store, without anything in front of them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from maxcloud_local.instances.containers import Containers
from maxcloud_local.instances.engines import Engines
from maxcloud_local.instances.instances import Instance, Instances
from maxcloud_local.instances.processes import Processes
from maxcloud_local.kinds import POD
from maxcloud_local.logs import Log, Logs
from maxcloud_local.store import Object, Store

SAMPLE = "maxcloud.local/hello"


def revision(
    image: str, *, name: str = "hello", namespace: str = "default", **container: Any
) -> Object:
    """Return a revision as Serving makes it; `spec` is beside the container's fields."""
    spec = container.pop("spec", {})
    return {
        "metadata": {
            "name": f"{name}-00001",
            "namespace": namespace,
            "labels": {"serving.knative.dev/service": name, "maxcloud.dev/managed": "true"},
        },
        "spec": {"timeoutSeconds": 5, **spec, "containers": [{"image": image, **container}]},
    }


def variables(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a container's `env`."""
    return [{"name": name, "value": value} for name, value in values.items()]


class Nursery:
    """What makes the instances of a test."""

    def __init__(self, functions: Path, owner: str) -> None:
        self.store, self.logs = Store(), Logs()
        self.engines = Engines()
        self.containers = Containers(self.engines, owner)
        kubeconfig = functions / "kubeconfig"
        self.processes = Processes(functions, kubeconfig, {"http://inside": "http://127.0.0.1:7"})
        self.instances = Instances(self.store, self.logs, self.processes, self.containers)
        self.made: list[Instance] = []
        self.changes = 0

    def start(self, made: Object) -> Instance:
        """Start an instance."""
        instance = self.instances.instance(made, self._on_change)
        self.made.append(instance)
        instance.start()
        return instance

    def pod(self, instance: Instance) -> Any:
        """Return an instance's pod as it is now, or None."""
        return self.store.find(POD, "default", instance.pod) or self.store.find(
            POD, "mc-system", instance.pod
        )

    def container(self, instance: Instance) -> Any:
        """Return the status of an instance's container."""
        return self.pod(instance)["status"]["containerStatuses"][0]

    def log(self, instance: Instance) -> Log:
        """Return what an instance writes."""
        log = self.logs.find("default", instance.pod) or self.logs.find("mc-system", instance.pod)
        assert log is not None
        return log

    def output(self, instance: Instance) -> str:
        """Return what an instance has written."""
        return "\n".join(line.text for line in self.log(instance).last(1000))

    def kill(self, instance: Instance) -> None:
        """Kill an instance's process as the kernel would."""
        port = int(instance.address.rpartition(":")[2])
        listening = [
            process
            for process in psutil.Process().children()
            for connection in process.net_connections("inet")
            if connection.laddr.port == port
        ]
        assert listening
        listening[0].kill()

    def _on_change(self) -> None:
        self.changes += 1


@asynccontextmanager
async def nursery(functions: Path, owner: str = "test") -> AsyncIterator[Nursery]:
    """Yield a nursery; whatever it has started has ended afterwards."""
    made = Nursery(functions, owner)
    following = asyncio.create_task(made.instances.run())
    try:
        yield made
    finally:
        following.cancel()
        await asyncio.gather(*(instance.stop() for instance in made.made))
        assert made.store.all(POD) == []
        assert made.instances.alive == {}


async def get(instance: Instance, path: str = "/") -> httpx.Response:
    """Ask an instance."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.get(f"http://{instance.address}{path}")

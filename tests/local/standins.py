"""A service, and instances whose readiness a test decides."""

import asyncio
from collections.abc import Callable
from typing import Any

from maxcloud_local.happenings import Happening
from maxcloud_local.instances.instances import Instance
from maxcloud_local.instances.running import Failure
from maxcloud_local.store import Object

NAMESPACE = "default"


def ksvc(
    revision: str | None, *, image: str = "a", traffic: Any = None, labels: Any = None
) -> Object:
    metadata: Object = {"annotations": {"serving.knative.dev/progress-deadline": "120s"}}
    if revision:
        metadata["name"] = revision
    spec: Object = {
        "template": {
            "metadata": metadata,
            "spec": {"containers": [{"image": image, "ports": [{"containerPort": 8080}]}]},
        }
    }
    if traffic:
        spec["traffic"] = traffic
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": NAMESPACE, "labels": labels or {}},
        "spec": spec,
    }


class StandIn(Instance):
    """An instance that starts nothing."""

    def __init__(self, pod: str, on_change: Callable[[], None], *, ready: bool) -> None:
        self.pod = pod
        self.address = "127.0.0.1:1"
        self.ready = False
        self.failure = None
        self.gave_up = self.leaving = False
        self.started = self.stopped = False
        self._on_change = on_change
        self._becomes_ready = ready

    def start(self) -> None:
        self.started = True
        if self._becomes_ready:
            asyncio.get_running_loop().call_soon(self.become_ready)

    async def stop(self) -> None:
        self.ready = False
        self.stopped = True

    def become_ready(self) -> None:
        self.ready, self.failure, self.gave_up = True, None, False
        self._on_change()

    def pod_deleted(self) -> None:
        """End as with `kubectl delete pod`."""
        self.ready, self.leaving = False, True
        self._on_change()

    def fail(self, reason: str, message: str) -> None:
        """Stop listening; the container will be started again."""
        self.ready, self.failure = False, Failure(reason, message)
        self._on_change()

    def give_up(self, reason: str, message: str) -> None:
        """Crash a second time."""
        self.gave_up = True
        self.fail(reason, message)


class StandInLauncher:
    """Makes stand-ins; with `ready` they become ready by themselves."""

    def __init__(self, *, ready: bool) -> None:
        self.ready = ready
        self.made: list[StandIn] = []
        self.happenings: list[tuple[str, str]] = []

    def instance(self, revision: Object, on_change: Callable[[], None]) -> Instance:
        pod = f"{revision['metadata']['name']}-{len(self.made)}"
        self.made.append(StandIn(pod, on_change, ready=self.ready))
        return self.made[-1]

    def tell(self, happening: Happening) -> None:
        self.happenings.append((happening.what, happening.detail))

    @property
    def alive(self) -> list[StandIn]:
        return [each for each in self.made if each.started and not each.stopped]

    def of(self, revision: str) -> StandIn:
        """Return the newest instance of a revision."""
        return [each for each in self.made if each.pod.startswith(f"{revision}-")][-1]


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.005)

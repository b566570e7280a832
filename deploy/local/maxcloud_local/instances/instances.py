"""One instance of a revision: one pod, with one process or one container in it.

What the kubelet does: start, probe, restart with a back-off, end.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

from maxcloud_local.instances import pods
from maxcloud_local.instances.containers import Containers
from maxcloud_local.instances.environment import environment, pull_auths
from maxcloud_local.instances.pods import Seen
from maxcloud_local.instances.probes import answers
from maxcloud_local.instances.processes import Processes
from maxcloud_local.instances.running import CannotStart, Ended, Failure, Job, Running
from maxcloud_local.kinds import POD, SERVICE_ACCOUNT, SERVICE_LABEL
from maxcloud_local.logs import Logs
from maxcloud_local.store import NotFound, Object, Store, What

__all__ = ["Failure", "Instance", "Instances", "Launcher"]

# Of restarts and pulls, and how long a container must run to be forgiven that it ended:
# kubernetes/pkg/kubelet/kubelet.go.
BACKOFF_SECONDS, BACKOFF_SECONDS_MAX = 10, 300
FORGIVEN_AFTER = timedelta(minutes=10)

# How soon what is missing here is looked for again: a container engine, a Secret.
MISSING_SECONDS = 3

# How often an instance that starts is asked whether it listens: the longer it takes, the less.
PROBE_SECONDS, PROBE_SECONDS_MAX = 0.025, 1.0

# How long an instance may take to end, whatever its revision says.
GRACE_SECONDS_MAX = 30

# When the engine ends, because somebody has pressed Ctrl-C.
LAST_GRACE_SECONDS = 3

# Knative's defaults, config-defaults and pkg/apis/serving/v1/revision_defaults.go.
TIMEOUT_SECONDS, PORT = 300, 8080

_log = logging.getLogger(__name__)


class Launcher(Protocol):
    """Who makes instances."""

    def instance(self, revision: Object, on_change: Callable[[], None]) -> "Instance":
        """Return a new instance, not started; `on_change` follows each change of its state."""


class Instances:
    """Makes instances, and ends those whose pod is deleted."""

    def __init__(
        self, store: Store, logs: Logs, processes: Processes, containers: Containers
    ) -> None:
        self.store, self.logs = store, logs
        self.processes, self.containers = processes, containers
        self.alive: dict[tuple[str, str], Instance] = {}
        self.grace_seconds_max = GRACE_SECONDS_MAX

    def instance(self, revision: Object, on_change: Callable[[], None]) -> "Instance":
        """Return a new instance of a revision, not started."""
        return Instance(self, revision, on_change)

    def hurry(self) -> None:
        """Give what ends from now on little time, because the engine does."""
        self.grace_seconds_max = LAST_GRACE_SECONDS

    async def run(self) -> None:
        """Follow the pods until cancelled."""
        async for change in self.store.changes(POD):
            metadata = change.object["metadata"]
            if change.what == What.DELETED or "deletionTimestamp" in metadata:
                instance = self.alive.get((metadata["namespace"], metadata["name"]))
                if instance is not None:
                    instance.leave()


class Instance:
    """One instance.

    `address` is where it listens, `ready` whether it takes requests, `failure` why it cannot,
    kept while it is tried again. `gave_up`: it was never ready and does not come up by itself.
    `leaving`: it ends or has ended, because of `stop` or of its pod's deletion.
    """

    def __init__(self, home: Instances, revision: Object, on_change: Callable[[], None]) -> None:
        self.pod = pods.new_name(revision["metadata"]["name"])
        self.address = ""
        self.ready = self.leaving = False
        self.failure: Failure | None = None
        self.gave_up = False
        self._home, self._revision, self._on_change = home, revision, on_change
        self._namespace: str = revision["metadata"]["namespace"]
        self._log = home.logs.open(self._namespace, self.pod)
        self._seen = Seen(pods.waiting("ContainerCreating"))
        self._crashes = self._refusals = 0
        self._was_ready = False
        self._running: Running | None = None
        self._life: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Make the pod and begin; needs a running loop."""
        if self.leaving:
            return
        self._home.store.create(POD, pods.manifest(self._revision, self.pod))
        self._home.alive[self._namespace, self.pod] = self
        self._show(self._seen)
        self._life = asyncio.get_running_loop().create_task(self._live())

    async def stop(self) -> None:
        """End it, and return when nothing of it is left; a second call waits for the first."""
        await asyncio.shield(self.leave())

    def leave(self) -> asyncio.Task[None]:
        """Take it out of service and begin to end it; return the task of that."""
        if self._ending is None:
            self.leaving, self.ready = True, False
            with suppress(NotFound):
                self._home.store.delete(POD, self._namespace, self.pod)
            self._show(Seen(self._seen.state, False, self._seen.restarts, self._seen.last))
            self._ending = asyncio.get_running_loop().create_task(self._end())
            self._on_change()
        return self._ending

    async def _end(self) -> None:
        try:
            if self._life is not None:
                self._life.cancel()
                await asyncio.wait([self._life])
            if self._running is not None:
                grace = timeout_of(self._revision["spec"])
                await self._running.stop(min(grace, self._home.grace_seconds_max))
        finally:
            self._home.logs.drop(self._namespace, self.pod)
            self._home.alive.pop((self._namespace, self.pod), None)
            with suppress(NotFound):
                self._home.store.finish(POD, self._namespace, self.pod)

    async def _live(self) -> None:
        try:
            while True:
                await self._run_once()
        except Exception:
            _log.exception("the instance %s was lost", self.pod)
            self._settle(failure=Failure("InternalError", "see what the engine wrote"), ended=True)

    async def _run_once(self) -> None:
        try:
            self._running = await self._begin()
        except CannotStart as error:
            await self._cannot_start(error.failure)
            return
        self._refusals = 0
        since = datetime.now(UTC)
        ended = await self._follow(self._running, since)
        self._running = None
        if datetime.now(UTC) - since > FORGIVEN_AFTER:
            self._crashes = 0
        self._crashes += 1
        last = pods.terminated(ended, since, self._log.last(pods.MESSAGE_LINES))
        await self._restart(ended, last)

    async def _begin(self) -> Running:
        find = self._home.store.find
        metadata, spec = self._revision["metadata"], self._revision["spec"]
        container = spec["containers"][0]
        env = environment(container, lambda kind, name: find(kind, self._namespace, name))
        ports = container.get("ports") or [{}]
        service = metadata["labels"][SERVICE_LABEL]
        env |= {
            "PORT": str(ports[0].get("containerPort") or PORT),
            "K_SERVICE": service,
            "K_CONFIGURATION": service,
            "K_REVISION": metadata["name"],
        }
        account = find(SERVICE_ACCOUNT, self._namespace, spec.get("serviceAccountName", "default"))
        has_token = account is not None and account.get("automountServiceAccountToken") is not False
        has_token = has_token and spec.get("automountServiceAccountToken") is not False
        auths = pull_auths(spec, lambda kind, name: find(kind, self._namespace, name))
        job = Job(self._namespace, self.pod, container, env, has_token, auths)
        if self._home.processes.has(job):
            return await self._home.processes.start(job, self._log)
        return await self._home.containers.start(job, self._log)

    async def _follow(self, running: Running, since: datetime) -> Ended:
        self.address = running.address
        seen = Seen(pods.running(since), False, self._seen.restarts, self._seen.last)
        self._show(seen)
        async with asyncio.TaskGroup() as group:
            probing = group.create_task(self._probe(running))
            ended = await running.ended()
            probing.cancel()
        return ended

    async def _probe(self, running: Running) -> None:
        probe = self._revision["spec"]["containers"][0].get("readinessProbe") or {}
        begin = time.monotonic()
        while not await answers(running.address, probe, is_proxied=running.is_proxied):
            patience = (time.monotonic() - begin) / 20
            await asyncio.sleep(min(max(PROBE_SECONDS, patience), PROBE_SECONDS_MAX))
        self._was_ready = True
        self._show(Seen(self._seen.state, True, self._seen.restarts, self._seen.last))
        self._settle(ready=True)

    async def _cannot_start(self, failure: Failure) -> None:
        self._refusals += 1
        is_pull = failure.reason == "ErrImagePull"
        state = pods.waiting("ImagePullBackOff" if is_pull else failure.reason, failure.message)
        self._show(Seen(state, False, self._seen.restarts, self._seen.last))
        self._settle(failure=failure, ended=True)
        await asyncio.sleep(_backoff(self._refusals) if is_pull else MISSING_SECONDS)

    async def _restart(self, ended: Ended, last: Object) -> None:
        restarts = self._seen.restarts
        if self._crashes == 1:
            self._show(Seen(last, False, restarts, last))
            self._settle()
        else:
            seconds = _backoff(self._crashes - 1)
            said = (
                f"back-off {seconds}s restarting failed container={pods.CONTAINER} pod={self.pod}"
            )
            self._show(Seen(pods.waiting("CrashLoopBackOff", said), False, restarts, last))
            self._settle(failure=_why(ended, last), ended=not self._was_ready)
            await asyncio.sleep(seconds)
        self._seen = Seen(self._seen.state, False, restarts + 1, last)

    def _show(self, seen: Seen) -> None:
        self._seen = seen
        store = self._home.store
        if pod := store.find(POD, self._namespace, self.pod):
            store.set_status(POD, self._namespace, self.pod, pods.status(pod, seen))

    def _settle(
        self, *, ready: bool = False, failure: Failure | None = None, ended: bool = False
    ) -> None:
        if (ready, failure, ended) != (self.ready, self.failure, self.gave_up):
            self.ready, self.failure, self.gave_up = ready, failure, ended
            self._on_change()


def timeout_of(spec: Object) -> int:
    """Return how many seconds a request to a revision of this spec may take."""
    seconds: int = spec.get("timeoutSeconds") or TIMEOUT_SECONDS
    return seconds


def _why(ended: Ended, last: Object) -> Failure:
    if ended.reason == "OOMKilled":
        return Failure("OOMKilled", "the container needed more memory than it may have")
    return Failure(f"ExitCode{ended.exit_code}", last["terminated"]["message"])


def _backoff(times: int) -> int:
    return min(BACKOFF_SECONDS << min(times - 1, 10), BACKOFF_SECONDS_MAX)

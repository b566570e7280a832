"""Knative Serving over a store, and instances whose readiness the test decides."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from maxcloud.knative import status as platform
from maxcloud.models import ServiceStatus
from maxcloud_local.kinds import REVISION, SERVICE
from maxcloud_local.serving.admission import admission
from maxcloud_local.serving.serving import Serving
from maxcloud_local.store import Object, Store
from tests.local.standins import NAMESPACE, StandInLauncher, ksvc, until


class Cluster:
    """A store, what follows it, and instances whose readiness the test decides."""

    def __init__(self, *, ready: bool = True) -> None:
        self.launcher = StandInLauncher(ready=ready)
        self.store = Store(admission)
        self.serving = Serving(
            self.store,
            self.launcher,
            self.launcher.tell,
            lambda label: f"http://{label}.localhost:8080",
        )

    def apply(self, revision: str | None = "hello-00001", **changes: Any) -> None:
        wanted = ksvc(revision, **changes)
        if self.store.find(SERVICE, NAMESPACE, "hello") is None:
            self.store.create(SERVICE, wanted)
        else:
            self.store.replace(SERVICE, wanted)

    @property
    def service(self) -> Object:
        return self.store.get(SERVICE, NAMESPACE, "hello")

    def revision(self, name: str) -> Object:
        return self.store.get(REVISION, NAMESPACE, name)

    @property
    def revisions(self) -> list[str]:
        return [each["metadata"]["name"] for each in self.store.all(REVISION, NAMESPACE)]

    async def settled(self, reason: str = "", revision: str = "") -> None:
        """Wait until the service's Ready is True, or False with this reason."""
        wanted = ("False", reason) if reason else ("True", "")
        await until(
            lambda: (
                is_seen(self.service)
                and said(self.service)["Ready"][:2] == wanted
                and revision in {"", self.service["status"]["latestCreatedRevisionName"]}
            )
        )

    def observed(self) -> tuple[ServiceStatus, str, str, str | None]:
        """Return what the platform's `status` reads."""
        newest = platform.newest_revision(self.service)
        revision = self.store.find(REVISION, NAMESPACE, newest) if newest else None
        seen = platform.observe(self.service, revision, [], datetime.now(UTC))
        return seen.status, seen.reason, seen.message, seen.ready_revision

    def routes_to(self, tag: str | None = None) -> str | None:
        revision = self.serving.route(NAMESPACE, "hello", tag)
        return revision.name if revision else None


@asynccontextmanager
async def cluster(*, ready: bool = True) -> AsyncIterator[Cluster]:
    it = Cluster(ready=ready)
    running = asyncio.create_task(it.serving.run())
    yield it
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await it.serving.stop()
    assert not it.launcher.alive


def is_seen(found: Object) -> bool:
    return bool(
        found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
    )


def said(found: Object) -> dict[str, tuple[str, str, str]]:
    return {
        each["type"]: (each["status"], each.get("reason", ""), each.get("message", ""))
        for each in found["status"]["conditions"]
    }

"""Waiting for what was asked, by looking at the service again and again."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from maxcloud_cli.progress import Progress, Step, awaited, steps_reached

if TYPE_CHECKING:
    from maxcloud.client import Client
    from maxcloud.models import Service

# Most deploys are done within seconds, and then a pause is what a person waits too long.
PAUSE = 0.2
BRISK_SECONDS = 10.0
LONGEST_PAUSE = 1.0


class DeployFailed(Exception):
    """The platform could not bring the service up; `service` says why."""

    def __init__(self, service: "Service") -> None:
        super().__init__(service.name)
        self.service = service


class StillGoing(Exception):
    """Nobody waits any longer, and what was asked goes on: `what` is deploy, move or deletion.

    `interrupted` tells the person's Ctrl-C from the end of the wait. `accepted` is False when
    the API had not answered yet.
    """

    def __init__(
        self, what: str, name: str, *, interrupted: bool = False, accepted: bool = True
    ) -> None:
        super().__init__(name)
        self.what = what
        self.name = name
        self.interrupted = interrupted
        self.accepted = accepted


def until_deployed(
    client: "Client",
    written: "Service",
    progress: Progress,
    limit: float,
    revision_before: str | None,
) -> "Service":
    """Return the service once it is ready for what was written.

    DeployFailed when it cannot be, StillGoing when `limit` seconds have passed.
    """
    for service in _states(client, written, limit):
        done = service.observed_generation >= written.generation
        if done or service.status == "pending":
            progress.show(steps_reached(service, revision_before), awaited(service))
        if service.status == "deleting" or (done and service.status == "failed"):
            raise DeployFailed(service)
        if done and service.status == "ready":
            return service
    raise StillGoing("deploy", written.name)


def until_moved(
    client: "Client", written: "Service", progress: Progress, limit: float
) -> "Service":
    """Return the service once its traffic flows as written; raises as `until_deployed`."""
    for service in _states(client, written, limit):
        if service.observed_generation >= written.generation:
            if service.status != "ready":
                progress.show([Step("failed", service.reason, failed=True)])
                raise DeployFailed(service)
            progress.show([Step("traffic moved")])
            return service
        if service.status == "deleting":
            raise DeployFailed(service)
        progress.show([], "the routes")
    raise StillGoing("move", written.name)


def until_deleted(client: "Client", service: "Service", progress: Progress, limit: float) -> None:
    """Return once the service is gone; StillGoing when `limit` seconds have passed."""
    from maxcloud.errors import NotFound

    try:
        for _ in _states(client, service, limit):
            progress.show([Step("accepted")], "its instances to end")
    except NotFound:
        progress.show([Step("gone")])
        return
    raise StillGoing("deletion", service.name)


def _states(client: "Client", service: "Service", limit: float) -> Iterator["Service"]:
    """Yield the service as it is, then as it becomes, until `limit` seconds have passed.

    The id is asked for, because another service may get the name. An API that is away for a
    moment is asked again: what was accepted does not depend on it.
    """
    from maxcloud.client import ConnectionFailed
    from maxcloud.errors import Unavailable

    start = time.monotonic()
    deadline = start + limit
    pause = PAUSE
    while True:
        yield service
        left = deadline - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(pause, left))
        if time.monotonic() - start > BRISK_SECONDS:
            pause = min(pause * 1.2, LONGEST_PAUSE)
        try:
            service = client.get_service(str(service.id))
        except (ConnectionFailed, Unavailable):
            continue

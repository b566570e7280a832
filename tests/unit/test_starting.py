"""What keeps an instance from starting, and when a user is told."""

from datetime import timedelta
from typing import Any

import pytest

from maxcloud.knative.objects import Manifest
from maxcloud.knative.status import observe
from maxcloud.models import ServiceStatus
from tests.unit.observed import (
    FAILED,
    MADE,
    NOT_READY,
    PENDING,
    READY,
    UNKNOWN,
    condition,
    ksvc,
    revision,
)


@pytest.mark.parametrize(
    ("after", "status", "reason"),
    [
        (timedelta(seconds=119), PENDING, "RevisionCreated"),
        (timedelta(seconds=121), FAILED, "Unschedulable"),
    ],
)
def test_room_for_an_instance_is_waited_for(
    after: timedelta, status: ServiceStatus, reason: str
) -> None:
    crowded = revision(condition("ResourcesAvailable", "False", "Unschedulable", "no room"))
    seen = observe(ksvc(NOT_READY), crowded, [], MADE + after)
    assert (seen.status, seen.reason) == (status, reason)


def pod(waiting: str = "", why: str = "", **ended: Any) -> Manifest:
    """A pod whose container waits for this reason, and how it ended before."""
    state = {"waiting": {"reason": waiting, "message": why}} if waiting else {"running": {}}
    container = {"name": "user-container", "state": state}
    if ended:
        container["lastState"] = {"terminated": ended}
    return {"status": {"containerStatuses": [{"name": "queue-proxy", "state": {}}, container]}}


PODS: dict[str, tuple[Manifest, tuple[str, str] | None]] = {
    "not scheduled yet": ({"status": {"phase": "Pending"}}, None),
    "being made": (pod("ContainerCreating"), None),
    "running": (pod(), None),
    "stopped once, and about to be started again": (pod(exitCode=1, reason="Error"), None),
    "stops again and again": (
        pod("CrashLoopBackOff", exitCode=1, reason="Error", message="KeyError\n"),
        (
            "ExitCode1",
            "the container stopped with exit code 1 before it was ready; its last output:\n"
            "KeyError",
        ),
    ),
    "stops without a word": (
        pod("CrashLoopBackOff", exitCode=0, reason="Completed"),
        ("ExitCode0", "the container stopped with exit code 0 before it was ready"),
    ),
    "needs too much memory": (
        pod("CrashLoopBackOff", exitCode=137, reason="OOMKilled"),
        ("OOMKilled", "the container needed more memory than it may have"),
    ),
    "its image is not there": (
        pod("ErrImagePull", "not found"),
        ("ImagePullFailed", "the image could not be pulled: not found"),
    ),
}


@pytest.mark.parametrize(("seen", "told"), PODS.values(), ids=PODS)
def test_a_pod_tells_before_the_deadline_what_keeps_it_from_starting(
    seen: Manifest, told: tuple[str, str] | None
) -> None:
    observed = observe(ksvc(UNKNOWN), revision(), [seen], MADE)
    expected = (FAILED, *told) if told else (PENDING, "RevisionCreated", "")
    assert (observed.status, observed.reason, observed.message) == expected


def test_what_a_pod_tells_does_not_outdo_a_service_that_is_ready() -> None:
    broken = pod("CrashLoopBackOff", exitCode=1)
    assert observe(ksvc(condition("Ready", "True")), None, [broken], MADE).status == READY

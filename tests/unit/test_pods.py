"""What a pod says of an instance."""

from typing import Any

import pytest

from maxcloud.instances import InstanceState
from maxcloud.knative.pods import Pod, pod_of, selector

WAITING = {"waiting": {"reason": "ContainerCreating"}}
RUNNING = {"running": {"startedAt": "2026-11-22T12:00:00Z"}}
ENDED = {"terminated": {"exitCode": 1}}
READY = {"type": "Ready", "status": "True"}


def pod(**status: Any) -> dict[str, Any]:
    metadata = status.pop("metadata", {})
    labels = {"serving.knative.dev/revision": "shop-00001"}
    return {"metadata": {"name": "shop-00001-x", "labels": labels, **metadata}, "status": status}


def container(state: Any, last: Any = None, name: str = "user-container", **more: Any) -> Any:
    return {"name": name, "state": state, "lastState": last or {}, **more}


QUEUE_PROXY = container(RUNNING, name="queue-proxy", restartCount=7)


@pytest.mark.parametrize(
    ("found", "state", "has_run", "restarts"),
    [
        ({}, InstanceState.STARTING, False, 0),
        (
            pod(containerStatuses=[container(WAITING), QUEUE_PROXY]),
            InstanceState.STARTING,
            False,
            0,
        ),
        (pod(containerStatuses=[QUEUE_PROXY, container(RUNNING)]), InstanceState.STARTING, True, 0),
        (
            pod(containerStatuses=[container(RUNNING)], conditions=[READY]),
            InstanceState.READY,
            True,
            0,
        ),
        (
            pod(containerStatuses=[container(WAITING, ENDED, restartCount=2)]),
            InstanceState.STARTING,
            True,
            2,
        ),
        (
            pod(conditions=[READY], metadata={"deletionTimestamp": "2026-11-22T12:00:00Z"}),
            InstanceState.STOPPING,
            False,
            0,
        ),
        (pod(phase="Failed", reason="Evicted"), InstanceState.STOPPING, False, 0),
    ],
)
def test_a_pod_is_an_instance(
    found: dict[str, Any], state: InstanceState, has_run: bool, restarts: int
) -> None:
    expected = Pod("shop-00001-x", "shop-00001", state, has_run, restarts)
    assert pod_of(found or pod()) == expected


def test_instances_are_found_by_their_labels() -> None:
    assert selector("shop") == "serving.knative.dev/service=shop"
    assert selector("shop", "shop-00002") == (
        "serving.knative.dev/service=shop,serving.knative.dev/revision=shop-00002"
    )

"""The comparison itself: it says what is wrong, and nothing of what is right."""

from typing import Any
from uuid import UUID

import pytest

from tests.faults.compare import Object, Row, contradictions
from tests.faults.journal import Told

ID, OTHER = UUID(int=1), UUID(int=2)
DIGEST = "sha256:abc"


def row(**changes: Any) -> Row:
    settings: Row = {"image": "hello", "port": 0, "command": [], "args": [], "env_vars": {"A": "1"}}
    settings |= {"min_scale": 0, "max_scale": 10, "concurrency": 80, "timeout_seconds": 300}
    settings |= {"cpu": "1", "memory": "512Mi", "traffic": [{"revision": "latest", "percent": 100}]}
    state = {"id": ID, "name": "shop", "status": "ready", "reason": "", "message": ""}
    state |= {"digest": DIGEST, "generation": 2, "observed_generation": 2, "cluster_generation": 5}
    state |= {"latest_revision": "shop-00002", "ready_revision": "shop-00002"}
    return settings | state | {"image_refused": False} | changes


def live(**changes: Any) -> Object:
    container = {"image": f"hello@{DIGEST}", "env": [{"name": "A", "value": "1"}]}
    scale = {"autoscaling.knative.dev/min-scale": "0", "autoscaling.knative.dev/max-scale": "10"}
    template = {
        "metadata": {"name": "shop-00002", "annotations": scale},
        "spec": {"containerConcurrency": 80, "timeoutSeconds": 300, "containers": [container]},
    }
    metadata: Object = {
        "name": "shop",
        "generation": 5,
        "labels": {"maxcloud.dev/service-id": str(ID)},
    }
    metadata |= {"annotations": {"maxcloud.dev/generation": "2"}}
    status: Object = {"conditions": [{"type": "Ready", "status": "True"}]}
    status |= {"latestReadyRevisionName": "shop-00002"}
    traffic = [{"latestRevision": True, "percent": 100}]
    made: Object = {"metadata": metadata, "spec": {"template": template, "traffic": traffic}}
    return made | {"status": status} | changes


def told(action: str, at: float, code: int | None = 201, /, **answer: Any) -> Told:
    said = {"id": str(ID), "generation": 1, **answer}
    return Told(action, "shop", at, at + 0.5, code, said)


def test_what_agrees_is_not_spoken_of() -> None:
    promised = told("patch", 1, 200, **row(id=str(ID)))
    assert contradictions([row()], [], [live()], [told("create", 0), promised]) == []


@pytest.mark.parametrize(
    ("rows", "objects", "said"),
    [
        ([row(status="deleting")], [live()], "shop is still being deleted"),
        ([row(observed_generation=1)], [live()], "shop has not settled"),
        ([row()], [], "shop is not in the cluster"),
        ([], [live()], "its service is in no row"),
        ([row(id=OTHER)], [live()], "shop is not in the cluster"),
        ([row(generation=3, observed_generation=3)], [live()], "generation 3 in its row"),
        ([row(cluster_generation=4)], [live()], "changed since it was written"),
        ([row(env_vars={})], [live()], "env_vars is {} in its row"),
        ([row(digest="sha256:def")], [live()], "digest is sha256:def in its row"),
        ([row(latest_revision="shop-00001")], [live()], "revision shop-00001, not shop-00002"),
        ([row(traffic=[{"revision": "shop-00001", "percent": 100}])], [live()], "traffic [('shop"),
        ([row()], [live(status={})], "ready in its row, not in the cluster"),
        ([row(ready_revision=None)], [live()], "None is ready, not shop-00002"),
    ],
)
def test_rows_and_cluster_that_differ(rows: list[Row], objects: list[Object], said: str) -> None:
    assert said in "\n".join(contradictions(rows, [], objects))


def test_an_object_of_a_service_that_was_deleted() -> None:
    [said] = contradictions([], [{"service_id": ID}], [live()])
    assert said == "shop is in the cluster, and its service was deleted"


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ([told("create", 0, id=str(OTHER))], "shop is lost: create shop: 201"),
        ([told("patch", 0, 200, generation=3)], "generation 3 was promised, 2 is there"),
        (
            [told("patch", 0, 200, **row(id=str(ID), env_vars={}))],
            "env_vars {} was promised, {'A': '1'} is there",
        ),
        ([told("create", 0), told("delete", 1, 204)], "shop is still there: delete shop: 204"),
        ([told("create", 0), told("create", 1, id=str(OTHER))], "shop was given twice"),
    ],
)
def test_a_promise_that_was_not_kept(history: list[Told], said: str) -> None:
    assert said in "\n".join(contradictions([row()], [], [live()], history))


def test_what_nobody_was_promised_may_be_or_not() -> None:
    unknown = [told("create", 0, None), told("patch", 1, 503), told("delete", 2, 500)]
    assert contradictions([row()], [], [live()], [told("create", 0), *unknown]) == []
    assert contradictions([], [{"service_id": ID}], [], [told("create", 0), *unknown]) == []


def test_a_name_may_come_back() -> None:
    history = [
        told("create", 0, id=str(OTHER)),
        told("delete", 1, 204),
        told("create", 2, **row(id=str(ID))),
    ]
    assert contradictions([row()], [{"service_id": OTHER}], [live()], history) == []

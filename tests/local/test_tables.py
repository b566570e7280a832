"""What `kubectl get` prints."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from maxcloud_local.kinds import CONFIG_MAP, KINDS, NAMESPACE, POD, REVISION, SERVICE, Kind
from maxcloud_local.kubernetes.forms import only_metadata
from maxcloud_local.kubernetes.tables import age, table
from maxcloud_local.store import Object
from tests.local.apiserver import an_object

NOT_READY = {
    "conditions": [
        {"type": "RoutesReady", "status": "True"},
        {"type": "Ready", "status": "False", "reason": "RevisionFailed"},
    ]
}


def made(kind: Kind, **rest: Any) -> Object:
    found = an_object(kind, "hello", **rest)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found["metadata"] |= {"creationTimestamp": now, "resourceVersion": "7"}
    return found


def printed(kind: Kind, found: Object) -> dict[str, Any]:
    result = table(kind, [found], {"resourceVersion": "7"}, only_metadata)
    (row,) = result["rows"]
    assert row["object"]["metadata"]["name"] == "hello"
    names = [column["name"] for column in result["columnDefinitions"]]
    return dict(zip(names, row["cells"], strict=True))


def container(**state: Any) -> dict[str, Any]:
    return {"name": "user-container", "ready": False, "restartCount": 2, "state": state}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.plural)
def test_an_object_that_nobody_has_looked_at_yet_is_shown(kind: Kind) -> None:
    assert printed(kind, made(kind))["Name"] == "hello"


def test_a_service() -> None:
    status = NOT_READY | {"url": "http://h", "latestCreatedRevisionName": "hello-00002"}
    assert printed(SERVICE, made(SERVICE, status=status)) == {
        "Name": "hello",
        "URL": "http://h",
        "LatestCreated": "hello-00002",
        "LatestReady": None,
        "Ready": "False",
        "Reason": "RevisionFailed",
    }


def test_a_revision() -> None:
    labels = {"serving.knative.dev/service": "hello"}
    revision = made(REVISION, metadata={"labels": labels}, status={"actualReplicas": 0})
    cells = printed(REVISION, revision)
    assert (cells["Config Name"], cells["Actual Replicas"]) == ("hello", 0)
    assert cells["Desired Replicas"] is None


@pytest.mark.parametrize(
    ("status", "ready", "shown"),
    [
        ({}, "0/1", "Pending"),
        ({"phase": "Running", "containerStatuses": []}, "0/1", "Running"),
        (
            {"containerStatuses": [container(waiting={"reason": "CrashLoopBackOff"})]},
            *("0/1", "CrashLoopBackOff"),
        ),
        (
            {"containerStatuses": [container(terminated={"reason": "Error", "exitCode": 3})]},
            *("0/1", "Error"),
        ),
        (
            {"phase": "Running", "containerStatuses": [container(running={}) | {"ready": True}]},
            *("1/1", "Running"),
        ),
    ],
)
def test_a_pod(status: dict[str, Any], ready: str, shown: str) -> None:
    pod = made(POD, spec={"containers": [{"name": "user-container"}]}, status=status)
    cells = printed(POD, pod)
    assert (cells["Ready"], cells["Status"]) == (ready, shown)
    assert cells["Restarts"] == (2 if status.get("containerStatuses") else 0)
    pod["metadata"]["deletionTimestamp"] = pod["metadata"]["creationTimestamp"]
    assert printed(POD, pod)["Status"] == "Terminating"


def test_a_namespace_and_a_kind_without_columns_of_its_own() -> None:
    assert printed(NAMESPACE, made(NAMESPACE))["Status"] == "Active"
    assert list(printed(CONFIG_MAP, made(CONFIG_MAP))) == ["Name", "Age"]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 300, "3h5m"),
        (8 * 3600 + 300, "8h"),
        (2 * 86400, "2d"),
        (2 * 86400 + 3600, "2d1h"),
        (8 * 86400 + 3600, "8d"),
        (2 * 365 * 86400, "2y"),
        (2 * 365 * 86400 + 86400, "2y1d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_an_age(seconds: int, written: str) -> None:
    assert age(timedelta(seconds=seconds)) == written

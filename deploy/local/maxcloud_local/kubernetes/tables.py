"""Tables: what `kubectl get` prints, in the columns of Kubernetes and of Knative's CRDs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from maxcloud_local.kinds import (
    API_SERVER_SOURCE,
    BROKER,
    EVENT_TYPE,
    INGRESS,
    NAMESPACE,
    PING_SOURCE,
    POD,
    REVISION,
    SERVICE,
    SERVICE_LABEL,
    TRIGGER,
    Kind,
)
from maxcloud_local.store import Object

Cell = str | int | None


@dataclass(frozen=True)
class Column:
    """One column; `cell` is what stands in it for an object."""

    name: str
    cell: Callable[[Object], Cell]
    type: str = "string"


def table(
    kind: Kind,
    objects: Iterable[Object],
    metadata: Object,
    represented: Callable[[Object], Object],
) -> Object:
    """Return a Table of objects; `represented` is what of an object goes along with its row."""
    columns = (_NAME, *_COLUMNS.get(kind, (_AGE,)))
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": "name" if column is _NAME else "",
                "description": "",
                "priority": 0,
            }
            for column in columns
        ],
        "rows": [
            {
                "cells": [column.cell(each) for column in columns],
                "object": represented(each),
            }
            for each in objects
        ],
    }


def age(span: timedelta) -> str:
    """Return a time as kubectl writes it: k8s.io/apimachinery/pkg/util/duration."""
    seconds = max(0, int(span.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    for limit, large, unit, rest, smaller in (
        (120, seconds, "s", 0, ""),
        (600, minutes, "m", seconds % 60, "s"),
        (3 * 3600, minutes, "m", 0, ""),
        (8 * 3600, hours, "h", minutes % 60, "m"),
        (2 * 86400, hours, "h", 0, ""),
        (8 * 86400, days, "d", hours % 24, "h"),
        (2 * 365 * 86400, days, "d", 0, ""),
        (8 * 365 * 86400, days // 365, "y", days % 365, "d"),
    ):
        if seconds < limit:
            return f"{large}{unit}" + (f"{rest}{smaller}" if rest else "")
    return f"{days // 365}y"


def _at(*path: str) -> Callable[[Object], Cell]:
    def cell(found: Object) -> Cell:
        value: object = found
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value if isinstance(value, str | int) else None

    return cell


def _of_readiness(field: str) -> Callable[[Object], Cell]:
    def cell(found: Object) -> Cell:
        conditions = found.get("status", {}).get("conditions", [])
        ready: Object = next((each for each in conditions if each.get("type") == "Ready"), {})
        return str(ready[field]) if field in ready else None

    return cell


def _age(found: Object) -> Cell:
    return age(datetime.now(UTC) - datetime.fromisoformat(found["metadata"]["creationTimestamp"]))


def _namespace_status(namespace: Object) -> Cell:
    return "Terminating" if "deletionTimestamp" in namespace["metadata"] else "Active"


def _pod_ready(pod: Object) -> Cell:
    ready = sum(bool(each.get("ready")) for each in _containers(pod))
    return f"{ready}/{len(pod.get('spec', {}).get('containers', []))}"


def _pod_status(pod: Object) -> Cell:
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    for container in _containers(pod):
        state = container.get("state", {})
        if reason := (state.get("waiting") or state.get("terminated") or {}).get("reason"):
            return str(reason)
    return str(pod.get("status", {}).get("phase", "Pending"))


def _pod_restarts(pod: Object) -> Cell:
    return sum(int(each.get("restartCount", 0)) for each in _containers(pod))


def _containers(pod: Object) -> list[Object]:
    found: list[Object] = pod.get("status", {}).get("containerStatuses", [])
    return found


_NAME = Column("Name", _at("metadata", "name"))
_AGE = Column("Age", _age)
_READY = (Column("Ready", _of_readiness("status")), Column("Reason", _of_readiness("reason")))

# Knative's are the additionalPrinterColumns of its CRDs.
_COLUMNS: dict[Kind, tuple[Column, ...]] = {
    NAMESPACE: (Column("Status", _namespace_status), _AGE),
    POD: (
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts, "integer"),
        _AGE,
    ),
    SERVICE: (
        Column("URL", _at("status", "url")),
        Column("LatestCreated", _at("status", "latestCreatedRevisionName")),
        Column("LatestReady", _at("status", "latestReadyRevisionName")),
        *_READY,
    ),
    REVISION: (
        Column("Config Name", _at("metadata", "labels", SERVICE_LABEL)),
        Column(
            "Generation", _at("metadata", "labels", "serving.knative.dev/configurationGeneration")
        ),
        *_READY,
        Column("Actual Replicas", _at("status", "actualReplicas"), "integer"),
        Column("Desired Replicas", _at("status", "desiredReplicas"), "integer"),
    ),
    INGRESS: _READY,
    BROKER: (Column("URL", _at("status", "address", "url")), _AGE, *_READY),
    TRIGGER: (
        Column("Broker", _at("spec", "broker")),
        Column("Subscriber_URI", _at("status", "subscriberUri")),
        _AGE,
        *_READY,
    ),
    EVENT_TYPE: (
        Column("Type", _at("spec", "type")),
        Column("Source", _at("spec", "source")),
        Column("Schema", _at("spec", "schema")),
        Column("Reference Name", _at("spec", "reference", "name")),
        Column("Reference Kind", _at("spec", "reference", "kind")),
        Column("Description", _at("spec", "description")),
        *_READY,
    ),
    PING_SOURCE: (
        Column("Sink", _at("status", "sinkUri")),
        Column("Schedule", _at("spec", "schedule")),
        _AGE,
        *_READY,
    ),
    API_SERVER_SOURCE: (Column("Sink", _at("status", "sinkUri")), _AGE, *_READY),
}

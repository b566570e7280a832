"""Objects as Knative leaves them, cut down from real ones."""

from datetime import UTC, datetime, timedelta

from maxcloud.knative.objects import Manifest
from maxcloud.models import ServiceStatus

PENDING, READY, FAILED = ServiceStatus.PENDING, ServiceStatus.READY, ServiceStatus.FAILED


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, str]:
    said = {"type": kind, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return said | ({"reason": reason, "message": message} if reason else {})


def ksvc(
    *conditions: dict[str, str], observed: int | None = 2, ready: str | None = None
) -> Manifest:
    status: Manifest = {"latestCreatedRevisionName": "shop-00002"}
    if observed is not None:
        status["observedGeneration"] = observed
    if conditions:
        status["conditions"] = list(conditions)
    if ready is not None:
        status["latestReadyRevisionName"] = ready
    metadata = {
        "name": "shop",
        "generation": 2,
        "resourceVersion": "1234",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"maxcloud.dev/generation": "7"},
    }
    return {"metadata": metadata, "status": status}


def revision(*conditions: dict[str, str]) -> Manifest:
    containers = [{"image": "nginx", "ports": [{"containerPort": 3000}]}]
    return {
        "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": containers},
        "status": {"conditions": list(conditions)},
    }


MADE = datetime(2026, 1, 1, tzinfo=UTC)
LATE = MADE + timedelta(hours=1)

UNKNOWN = condition("Ready", "Unknown", "RevisionMissing", "Configuration waits for a Revision")
NOT_READY = condition(
    "Ready", "False", "RevisionFailed", 'Revision "shop-00002" failed with message: it broke.'
)

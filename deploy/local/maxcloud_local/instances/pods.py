"""The Pod that an instance is in the API, in the words of the kubelet. Pure."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

from maxcloud_local.instances.running import Ended
from maxcloud_local.kinds import POD
from maxcloud_local.logs import Line
from maxcloud_local.store import Object, timestamp

CONTAINER = "user-container"
FINALIZER = "maxcloud.dev/instance"

# terminationMessagePolicy FallbackToLogsOnError: kubernetes/pkg/kubelet/container/runtime.go.
MESSAGE_LINES, MESSAGE_BYTES = 80, 2048

# Without vowels and what looks like them: apimachinery/pkg/util/rand.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class Seen:
    """How a container stands: `state` and `last` as in a containerStatus."""

    state: Object
    is_ready: bool = False
    restarts: int = 0
    last: Object = field(default_factory=dict)


def new_name(revision: str) -> str:
    """Return a name that no other pod of this revision has."""
    return f"{revision}-{''.join(secrets.choice(_LETTERS) for _ in range(5))}"


def manifest(revision: Object, name: str) -> Object:
    """Return a revision's new pod. It is there until its process is gone."""
    metadata, spec = revision["metadata"], revision["spec"]
    kept = (
        *("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks"),
        "imagePullSecrets",
    )
    return {
        "apiVersion": POD.api_version,
        "kind": POD.name,
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {**metadata["labels"], "serving.knative.dev/revision": metadata["name"]},
            "finalizers": [FINALIZER],
        },
        "spec": {
            **{key: spec[key] for key in kept if key in spec},
            "containers": [{**spec["containers"][0], "name": CONTAINER}],
        },
    }


def status(pod: Object, seen: Seen) -> Object:
    """Return the status of a pod whose container stands so."""
    has_run = seen.last or "waiting" not in seen.state
    ready = "True" if seen.is_ready else "False"
    return {
        "phase": "Running" if has_run else "Pending",
        "conditions": [
            {"type": "Ready", "status": ready},
            {"type": "ContainersReady", "status": ready},
        ],
        "podIP": "127.0.0.1",
        "startTime": pod["metadata"]["creationTimestamp"],
        "containerStatuses": [
            {
                "name": CONTAINER,
                "image": pod["spec"]["containers"][0]["image"],
                "ready": seen.is_ready,
                "started": "running" in seen.state,
                "restartCount": seen.restarts,
                "state": seen.state,
                "lastState": seen.last,
            }
        ],
    }


def waiting(reason: str, message: str = "") -> Object:
    """Return the state of a container that does not run."""
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def running(since: datetime) -> Object:
    """Return the state of a container that runs."""
    return {"running": {"startedAt": timestamp(since)}}


def terminated(ended: Ended, since: datetime, output: list[Line]) -> Object:
    """Return the state of a container that has ended, with the last that it wrote."""
    said = "\n".join(line.text for line in output if line.time >= since)
    tail = said.encode(errors="replace")[-MESSAGE_BYTES:].decode(errors="ignore")
    return {
        "terminated": {
            "exitCode": ended.exit_code,
            "reason": ended.reason,
            "message": ended.message or (tail if ended.exit_code else ""),
            "startedAt": timestamp(since),
            "finishedAt": timestamp(datetime.now(UTC)),
        }
    }

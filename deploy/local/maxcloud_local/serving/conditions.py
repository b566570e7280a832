"""What Knative says of a revision and of a service, in its words. Pure.

Sources: knative.dev/serving, pkg/apis/serving/v1: revision_lifecycle.go, route_lifecycle.go,
configuration_lifecycle.go, service_lifecycle.go; for Active pkg/reconciler/autoscaling/kpa/kpa.go.
"""

from dataclasses import dataclass
from datetime import datetime

from maxcloud_local.instances.running import Failure
from maxcloud_local.store import Object, timestamp

# revision_lifecycle.go: PropagateAutoscalerStatus.
NEVER_READY = Failure("ProgressDeadlineExceeded", "Initial scale was never achieved")

_NO_ERROR = "container exited with no error"


@dataclass(frozen=True, slots=True)
class State:
    """What there is to say about a revision.

    `established` is whether it has ever had the instances it must start with; `failure` is why
    none could start, until one is ready again.
    """

    wanted: int
    ready: int
    established: bool
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Said:
    """One condition; `status` is True, False or Unknown."""

    status: str
    reason: str = ""
    message: str = ""


YES = Said("True")


def of_revision(state: State) -> dict[str, Said]:
    """Return a revision's conditions by type."""
    deploying = Said("Unknown", "Deploying")
    failure = state.failure
    if failure is None:
        healthy = available = YES if state.established else deploying
    elif failure.reason.startswith("ExitCode"):
        said = f"Container failed with: {failure.message or _NO_ERROR}"
        healthy = Said("False", failure.reason, said)
        available = YES if state.established else deploying
    else:
        healthy = YES if state.established else deploying
        available = Said("False", failure.reason, failure.message)
    return {
        "Active": _active(state),
        "ContainerHealthy": healthy,
        "ResourcesAvailable": available,
        "Ready": _worst(healthy, available),
    }


def of_service(configuration: Said, routes: Said) -> dict[str, Said]:
    """Return a service's conditions by type."""
    return {
        "ConfigurationsReady": configuration,
        "RoutesReady": routes,
        "Ready": _worst(configuration, routes),
    }


def of_configuration(created: str, revision: Said, *, is_latest_ready: bool) -> Said:
    """Return what is said of a service's template, whose revision `created` says `revision`."""
    if revision.status == "False":
        return Said(
            "False",
            "RevisionFailed",
            f'Revision "{created}" failed with message: {revision.message}.',
        )
    return YES if is_latest_ready else Said("Unknown")


def name_taken(name: str) -> tuple[Said, Said]:
    """Return what is said of template and routes when another revision has the template's name."""
    exists = f'revisions.serving.knative.dev "{name}" already exists'
    return (
        Said("False", "RevisionFailed", f"Revision creation failed with message: {exists}."),
        Said(
            "False",
            "RevisionNameTaken",
            f'The revision name "{name}" is taken by a conflicting Revision, '
            "so traffic will not be migrated",
        ),
    )


def written(said: dict[str, Said], before: Object | None, now: datetime) -> list[Object]:
    """Return conditions as they stand in a status; one that says the same keeps its time.

    `before` is the status that there was.
    """
    old = {condition["type"]: condition for condition in (before or {}).get("conditions", [])}
    time = timestamp(now)
    return [_written(kind, said[kind], old.get(kind, {}), time) for kind in sorted(said)]


def _written(kind: str, said: Said, old: Object, time: str) -> Object:
    new: Object = {"type": kind, "status": said.status}
    if said.reason:
        new["reason"] = said.reason
    if said.message:
        new["message"] = said.message
    if kind == "Active":
        # A revision may be ready and asleep.
        new["severity"] = "Info"
    same = {key: value for key, value in old.items() if key != "lastTransitionTime"} == new
    return {**new, "lastTransitionTime": old["lastTransitionTime"] if same else time}


def _active(state: State) -> Said:
    if state.wanted == 0:
        if state.failure is NEVER_READY:
            return Said("False", "TimedOut", "The target could not be activated.")
        return Said("False", "NoTraffic", "The target is not receiving traffic.")
    if state.ready == 0:
        return Said(
            "Unknown",
            "Queued",
            "Requests to the target are being buffered as resources are provisioned.",
        )
    return YES


def _worst(*said: Said) -> Said:
    return min(said, key=lambda one: ("False", "Unknown", "True").index(one.status))

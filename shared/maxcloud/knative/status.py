"""From a Knative Service (and its newest revision) to what a user should know. Pure.

Conditions and reasons: knative.dev/serving/pkg/apis/serving/v1 (revision_lifecycle.go,
service_lifecycle.go).
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from maxcloud.knative.manifests import START_SECONDS
from maxcloud.knative.objects import Manifest, generation_of, made_at
from maxcloud.models import ServiceStatus

Condition = dict[str, Any]

# The API server's words: kubernetes/plugin/pkg/admission/resourcequota/controller.go.
_QUOTA = re.compile(
    r"exceeded quota: \S+, requested: (?P<wanted>.+), used: (?P<used>.+), limited: (?P<most>.+)"
)

# A revision that has traffic is no longer there; `reconcile` makes it anew.
RESTORING = "RestoringRevision"

# The kubelet's words: kubernetes/pkg/kubelet/images/types.go.
_PULL_FAILURES = {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"}


@dataclass(frozen=True, slots=True)
class Observed:
    """What the cluster says of a service.

    `generation` is the row's that the object was written from, `version` when the object was
    made and its resourceVersion.
    """

    generation: int
    version: tuple[datetime, int]
    status: ServiceStatus
    reason: str
    message: str
    ready_revision: str | None


def newest_revision(ksvc: Manifest) -> str | None:
    """Return the name of the revision that Knative made last."""
    name: str | None = ksvc.get("status", {}).get("latestCreatedRevisionName")
    return name


def is_ready(ksvc: Manifest, *, only_routes: bool = False) -> bool:
    """Tell whether all is well, so that nothing more needs to be asked.

    With `only_routes` it is when the traffic flows as it is to: a newest revision that failed
    before takes nothing from a rollback.
    """
    return _verdict_of_service(ksvc, only_routes=only_routes)[0] == ServiceStatus.READY


def observe(
    ksvc: Manifest,
    revision: Manifest | None,
    pods: list[Manifest],
    now: datetime,
    *,
    only_routes: bool = False,
) -> Observed:
    """Return what an object says at the time `now`, with its newest revision and that one's pods.

    A revision hears of its pods only when its Deployment changes, so a container that cannot
    start would be told at the deadline: the pods say it now.
    """
    status, reason, message = _verdict_of_service(ksvc, only_routes=only_routes)
    if status == ServiceStatus.FAILED and _got_over_it(ksvc, revision):
        status, reason, message = ServiceStatus.PENDING, "RevisionCreated", ""
    elif status == ServiceStatus.FAILED:
        reason, message = _verdict_of_revision(revision or {}) or (reason, message)
        if reason == "Unschedulable" and _is_starting(revision or {}, now):
            # Room comes: instances end, nodes are added.
            status, reason = ServiceStatus.PENDING, "RevisionCreated"
    elif status == ServiceStatus.PENDING and (stuck := _first_stuck(pods)):
        status, (reason, message) = ServiceStatus.FAILED, stuck
    return Observed(
        generation=generation_of(ksvc),
        version=(made_at(ksvc), int(ksvc["metadata"]["resourceVersion"])),
        status=status,
        reason=reason,
        message=message,
        ready_revision=ksvc.get("status", {}).get("latestReadyRevisionName"),
    )


def _got_over_it(ksvc: Manifest, revision: Manifest | None) -> bool:
    """Tell whether the newest revision had failed and goes on, of which its service is to hear.

    First the Configuration hears of it, then the Route, in the words of route_lifecycle.go. It is
    so whenever an instance had to wait for room on a node.
    """
    if revision is None or _condition(revision, "Ready").get("status") == "False":
        return False
    said = _condition(ksvc, "RoutesReady").get("message", "")
    return _condition(ksvc, "ConfigurationsReady").get("status") == "False" or (
        re.fullmatch(r'Configuration "\S+" does not have any ready Revision\.', said) is not None
    )


def _is_starting(revision: Manifest, now: datetime) -> bool:
    made = revision.get("metadata", {}).get("creationTimestamp")
    return made is not None and now - datetime.fromisoformat(made) < timedelta(
        seconds=START_SECONDS
    )


def _verdict_of_service(ksvc: Manifest, *, only_routes: bool) -> tuple[ServiceStatus, str, str]:
    seen = ksvc.get("status", {}).get("observedGeneration") == ksvc["metadata"]["generation"]
    ready = _condition(ksvc, "RoutesReady" if only_routes else "Ready")
    if seen and ready.get("status") == "True":
        return ServiceStatus.READY, "", ""
    if seen and ready.get("status") == "False":
        reason, said = ready.get("reason", "Failed"), ready.get("message", "")
        # In the words of route_lifecycle.go.
        if lost := re.fullmatch(r'Revision "(\S+)" referenced in traffic not found\.', said):
            return ServiceStatus.PENDING, RESTORING, f"{lost[1]} is made anew"
        if stopped := re.fullmatch(r'Revision "(\S+)" failed to become ready\.', said):
            said = f"{stopped[1]} takes no traffic, because it never started: choose another"
        return ServiceStatus.FAILED, reason, said
    if only_routes:
        return ServiceStatus.PENDING, "RevisionCreated", ""
    started = seen and _condition(ksvc, "ConfigurationsReady").get("status") == "True"
    return ServiceStatus.PENDING, "InstanceStarted" if started else "RevisionCreated", ""


def _verdict_of_revision(revision: Manifest) -> tuple[str, str] | None:
    for kind in ("ContainerHealthy", "ResourcesAvailable"):
        condition = _condition(revision, kind)
        if condition.get("status") == "False":
            return _in_words(condition, revision)
    return None


def _first_stuck(pods: list[Manifest]) -> tuple[str, str] | None:
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses", []):
            waiting = container.get("state", {}).get("waiting", {})
            ended = container.get("lastState", {}).get("terminated")
            if waiting.get("reason") == "CrashLoopBackOff" and ended:
                if ended.get("reason") == "OOMKilled":
                    return "OOMKilled", "the container needed more memory than it may have"
                return _exited(ended["exitCode"], ended.get("message", ""))
            if waiting.get("reason") in _PULL_FAILURES:
                return _not_pulled(waiting.get("message", ""))
    return None


def _in_words(condition: Condition, revision: Manifest) -> tuple[str, str]:
    reason, said = condition.get("reason", "Failed"), condition.get("message", "")
    if exit_code := re.fullmatch(r"ExitCode(\d+)", reason):
        return _exited(int(exit_code[1]), said.removeprefix("Container failed with:"))
    if reason in _PULL_FAILURES:
        return _not_pulled(said)
    if reason in {"ProgressDeadlineExceeded", "DeploymentTimedOut"}:
        port = revision["spec"]["containers"][0]["ports"][0]["containerPort"]
        return "NotListening", (
            f"the container runs, but nothing answered on port {port} within {START_SECONDS} s: "
            "listen on $PORT and on all addresses, name the right port, or start faster"
        )
    if reason == "Unschedulable":
        return reason, f"no node has room for an instance: {said}"
    if reason == "FailedCreate":
        return _not_made(said)
    return reason, said


def _not_made(said: str) -> tuple[str, str]:
    if quota := _QUOTA.search(said):
        return "QuotaExceeded", (
            f"the organisation's quota leaves no room for an instance: it needs {quota['wanted']}, "
            f"and of {quota['most']} there are {quota['used']} in use"
        )
    return "FailedCreate", f"the cluster refused to make an instance: {said}"


def _exited(exit_code: int, output: str) -> tuple[str, str]:
    sentence = f"the container stopped with exit code {exit_code} before it was ready"
    said = output.strip()
    return f"ExitCode{exit_code}", f"{sentence}; its last output:\n{said}" if said else sentence


def _not_pulled(said: str) -> tuple[str, str]:
    return "ImagePullFailed", f"the image could not be pulled: {said}"


def _condition(thing: Manifest, kind: str) -> Condition:
    conditions: list[Condition] = thing.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c.get("type") == kind), {})

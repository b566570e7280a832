"""From a Knative Service (and its newest revision) to what a user should know. Pure.

Conditions and reasons: knative.dev/serving/pkg/apis/serving/v1 (revision_lifecycle.go,
service_lifecycle.go).
"""

import re
from dataclasses import dataclass
from typing import Any

from maxcloud.knative.manifests import START_SECONDS, Manifest, generation_of
from maxcloud.models import ServiceStatus

Condition = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Observed:
    """What the cluster says of a service.

    `generation` is the row's that the object was written from, `version` its resourceVersion.
    """

    generation: int
    version: int
    status: ServiceStatus
    reason: str
    message: str
    ready_revision: str | None


def newest_revision(ksvc: Manifest) -> str | None:
    """Return the name of the revision that Knative made last."""
    name: str | None = ksvc.get("status", {}).get("latestCreatedRevisionName")
    return name


def is_failing(ksvc: Manifest) -> bool:
    """Tell whether the revision has more to say about why."""
    return _condition(ksvc, "Ready").get("status") == "False"


def observe(ksvc: Manifest, revision: Manifest | None) -> Observed:
    """Return what an object says; `revision` is its newest one and is only read when it fails."""
    status, reason, message = _verdict(ksvc, revision or {})
    return Observed(
        generation=generation_of(ksvc),
        version=int(ksvc["metadata"]["resourceVersion"]),
        status=status,
        reason=reason,
        message=message,
        ready_revision=ksvc.get("status", {}).get("latestReadyRevisionName"),
    )


def _verdict(ksvc: Manifest, revision: Manifest) -> tuple[ServiceStatus, str, str]:
    seen = ksvc.get("status", {}).get("observedGeneration") == ksvc["metadata"]["generation"]
    ready = _condition(ksvc, "Ready")
    if not seen or ready.get("status") not in {"True", "False"}:
        started = seen and _condition(ksvc, "ConfigurationsReady").get("status") == "True"
        return ServiceStatus.PENDING, "InstanceStarted" if started else "RevisionCreated", ""
    if ready["status"] == "True":
        return ServiceStatus.READY, "", ""
    for kind in ("ContainerHealthy", "ResourcesAvailable"):
        condition = _condition(revision, kind)
        if condition.get("status") == "False":
            return ServiceStatus.FAILED, *_in_words(condition, revision)
    return ServiceStatus.FAILED, ready.get("reason", "Failed"), ready.get("message", "")


def _in_words(condition: Condition, revision: Manifest) -> tuple[str, str]:
    reason, said = condition.get("reason", "Failed"), condition.get("message", "")
    if exit_code := re.fullmatch(r"ExitCode(\d+)", reason):
        output = said.removeprefix("Container failed with:").strip()
        sentence = f"the container stopped with exit code {exit_code[1]} before it was ready"
        return reason, f"{sentence}; its last output:\n{output}" if output else sentence
    if reason in {"ImagePullBackOff", "ErrImagePull", "InvalidImageName"}:
        return "ImagePullFailed", f"the image could not be pulled: {said}"
    if reason in {"ProgressDeadlineExceeded", "DeploymentTimedOut"}:
        port = revision["spec"]["containers"][0]["ports"][0]["containerPort"]
        return "NotListening", (
            f"the container runs, but nothing answered on port {port} within {START_SECONDS} s: "
            "listen on $PORT and on all addresses, or name the right port"
        )
    if reason == "Unschedulable":
        return reason, f"no node has room for an instance: {said}"
    if reason == "FailedCreate":
        return reason, f"the cluster refused to make an instance: {said}"
    return reason, said


def _condition(thing: Manifest, kind: str) -> Condition:
    conditions: list[Condition] = thing.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c.get("type") == kind), {})

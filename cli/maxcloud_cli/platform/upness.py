"""Whether what was applied is up: pure, the object as it is and as it is wanted in, a state out."""

from dataclasses import dataclass
from typing import Any

from maxcloud_cli.platform import parts
from maxcloud_cli.platform.parts import Object, is_one_of
from maxcloud_cli.platform.plan import JOB, STAMP

_WORKLOADS = ("apps/StatefulSet", "apps/Deployment")
_READY = (
    "serving.knative.dev/Service",
    "networking.internal.knative.dev/Ingress",
    "eventing.knative.dev/Broker",
    "eventing.knative.dev/Trigger",
    "sources.knative.dev/*",
)


@dataclass(frozen=True)
class State:
    """How far an object is.

    `has_failed` is what it says of itself now, `is_final` that it will not say anything else;
    `serves` names the revision that takes a function's requests meanwhile.
    """

    is_up: bool
    has_failed: bool = False
    is_final: bool = False
    why_not: str = ""
    serves: str = ""


def of(live: Object | None, wanted: Object) -> State:
    """Return the state of an object that was applied; of a kind without one it is up."""
    if live is None:
        return State(is_up=False)
    if is_one_of(wanted, _WORKLOADS):
        return State(is_up=_has_all_pods(live))
    if is_one_of(wanted, [JOB]):
        is_final, _ = parts.condition(live, "Failed")
        return State(
            is_up=parts.condition(live, "Complete")[0],
            has_failed=is_final,
            is_final=is_final,
            why_not="it ended without a word",
        )
    if is_one_of(wanted, _READY):
        return _of_conditions(live)
    return State(is_up=True)


def is_the_same_job(live: Object, wanted: Object) -> bool:
    """Tell whether a job has been done that does what this one would: same image and settings."""

    def told(job: Object) -> Any:
        template = job["spec"]["template"]
        mark = template.get("metadata", {}).get("annotations", {}).get(STAMP)
        return template["spec"]["containers"][0]["image"], mark

    return parts.condition(live, "Complete")[0] and told(live) == told(wanted)


def _of_conditions(live: Object) -> State:
    status = live.get("status", {})
    if status.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        return State(is_up=False)
    is_up, why_not = parts.ready(live)
    has_failed = any(
        each["type"] == "Ready" and each["status"] == "False"
        for each in status.get("conditions", [])
    )
    return State(is_up, has_failed, why_not=why_not, serves=parts.serving(live))


def _has_all_pods(live: Object) -> bool:
    status, wanted = live.get("status", {}), live["spec"].get("replicas", 1)
    told = status.get("observedGeneration", 0) >= live["metadata"]["generation"]
    new, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    return bool(told and new >= wanted and ready >= wanted)

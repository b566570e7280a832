"""From a service's template to its Knative Service, and what must be written to get there. Pure."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from maxcloud.errors import MaxCloudError
from maxcloud.knative.objects import (
    GENERATION,
    MANAGED,
    ORG,
    RESTORES,
    SERVICE_ID,
    Manifest,
    generation_of,
    is_restoring,
    service_id,
)
from maxcloud.models import Template
from maxcloud.references import Reference
from maxcloud.traffic import LATEST, TrafficShare

# How long a container may take until it answers on its port.
START_SECONDS = 120

# How often a new instance is asked whether it listens. Without a period of its own, the kubelet
# asks again only after ten seconds: one deploy in eight took that much longer.
PROBE_SECONDS = 1

# What an instance is sure to get of the CPU it may use: most are idle most of the time.
CPU_SHARE_GUARANTEED = 0.1
CPU_MILLIS_LEAST = 10


class Superseded(MaxCloudError):
    """The cluster has a newer generation than the one to be written."""

    def __init__(self, generation: int) -> None:
        super().__init__(f"the cluster has generation {generation}")
        self.generation = generation


class Occupied(MaxCloudError):
    """An object of the same name belongs to somebody else: `occupant`, if that is a service."""

    def __init__(self, message: str, occupant: UUID | None = None) -> None:
        super().__init__(message)
        self.occupant = occupant


@dataclass(frozen=True, slots=True)
class Wanted:
    """A service as the cluster should have it.

    What is pulled from the host `registry` is pulled with the secret `pull_secret`.
    """

    id: UUID
    org_id: UUID
    name: str
    namespace: str
    generation: int
    revision: str
    template: Template
    traffic: tuple[TrafficShare, ...]
    registry: str = ""
    pull_secret: str = ""


def service(wanted: Wanted) -> Manifest:
    """Return the Knative Service."""
    template = wanted.template
    ours = {MANAGED: "true", ORG: str(wanted.org_id), SERVICE_ID: str(wanted.id)}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": wanted.name,
            "namespace": wanted.namespace,
            "labels": ours,
            "annotations": {GENERATION: str(wanted.generation)},
        },
        "spec": {
            "template": {
                "metadata": {
                    "name": wanted.revision,
                    "labels": ours,
                    "annotations": {
                        "autoscaling.knative.dev/min-scale": str(template.min_scale),
                        "autoscaling.knative.dev/max-scale": str(template.max_scale),
                        "serving.knative.dev/progress-deadline": f"{START_SECONDS}s",
                    },
                },
                "spec": {
                    "containerConcurrency": template.concurrency,
                    "timeoutSeconds": template.timeout_seconds,
                    # A tenant's code gets no credential of the cluster and no list of neighbours.
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    **_pulled(wanted),
                    "containers": [_container(template)],
                },
            },
            "traffic": [_target(share) for share in wanted.traffic],
        },
    }


def restoring(wanted: Wanted, revision: str, template: Template, live: Manifest | None) -> Manifest:
    """Return the Knative Service that makes a lost revision anew; `wanted` is to follow.

    Knative makes revisions of the newest template alone. Until all are there, the traffic stays
    where the `live` object has it.
    """
    step = service(replace(wanted, revision=revision, template=template))
    step["metadata"]["annotations"][RESTORES] = revision
    if live is None:
        step["spec"]["traffic"] = [{"latestRevision": True, "percent": 100}]
    else:
        step["spec"]["traffic"] = live["spec"]["traffic"]
    return step


def _target(share: TrafficShare) -> Manifest:
    target: Manifest = {"latestRevision": share.revision == LATEST, "percent": share.percent}
    if share.revision != LATEST:
        target["revisionName"] = share.revision
    if share.tag:
        target["tag"] = share.tag
    return target


def _pulled(wanted: Wanted) -> Manifest:
    # The whole host: a name that only begins like the registry's must never see the secret.
    if not wanted.pull_secret or Reference.parse(wanted.template.image).host != wanted.registry:
        return {}
    return {"imagePullSecrets": [{"name": wanted.pull_secret}]}


def _container(template: Template) -> Manifest:
    container: Manifest = {
        "image": template.image,
        "ports": [{"containerPort": template.port}],
        # Port 0 is the one above, in Knative's words.
        "readinessProbe": {"tcpSocket": {"port": 0}, "periodSeconds": PROBE_SECONDS},
        "env": [
            {"name": key, "value": template.env_vars[key]} for key in sorted(template.env_vars)
        ],
        "resources": {
            "requests": {"cpu": _guaranteed(template.cpu), "memory": _memory(template.memory)},
            "limits": {"cpu": _cpu(_millis(template.cpu)), "memory": _memory(template.memory)},
        },
    }
    if template.command:
        container["command"] = template.command
    if template.args:
        container["args"] = template.args
    return container


def _guaranteed(cpu: str) -> str:
    return _cpu(max(CPU_MILLIS_LEAST, int(_millis(cpu) * CPU_SHARE_GUARANTEED)))


def _millis(cpu: str) -> int:
    return int(cpu[:-1]) if cpu.endswith("m") else round(float(cpu) * 1000)


# Kubernetes keeps a quantity in its shortest form (apimachinery, resource.Quantity); written in it,
# an object reads back as it was sent.
def _cpu(millis: int) -> str:
    return f"{millis}m" if millis % 1000 else f"{millis // 1000}"


def _memory(quantity: str) -> str:
    number = quantity.rstrip("KMGTik")
    size, unit = int(number), quantity[len(number) :]
    units, step = (
        (["Ki", "Mi", "Gi", "Ti"], 1024) if "i" in unit else (["", "k", "M", "G", "T"], 1000)
    )
    at = units.index(unit)
    while size % step == 0 and at + 1 < len(units):
        size, at = size // step, at + 1
    return f"{size}{units[at]}"


def replacement(live: Manifest, wanted: Manifest) -> Manifest | None:
    """Return what to put in place of `live`, or None when it is as wanted already.

    The result carries the resourceVersion of `live`, so that a write in between makes it fail.
    Raises Superseded for a `live` of a newer generation, Occupied for one that is not ours.
    """
    labels = live["metadata"].get("labels", {})
    annotations = live["metadata"].get("annotations", {})
    if labels.get(SERVICE_ID) != wanted["metadata"]["labels"][SERVICE_ID]:
        said = f"the namespace has another object named {live['metadata']['name']}"
        raise Occupied(said, service_id(live))
    if generation_of(live) > generation_of(wanted):
        raise Superseded(generation_of(live))
    template = wanted["spec"]["template"]
    lives = live["spec"]["template"]
    if lives.get("metadata", {}).get("name") == template["metadata"]["name"]:
        # A revision never changes under its name, and Knative refuses to try: neither a default
        # that is missing nor a newer version of `service` above is a reason to.
        template = lives
    wanted = {**wanted, "spec": {**wanted["spec"], "template": template}}
    if (
        contains(live, wanted)
        and _same_traffic(live, wanted)
        and is_restoring(live) == is_restoring(wanted)
    ):
        return None
    # Knative refuses a write that drops its own annotations (who created the object).
    kept = {key: value for key, value in annotations.items() if key != RESTORES}
    metadata = {
        **live["metadata"],
        "labels": {**labels, **wanted["metadata"]["labels"]},
        "annotations": {**kept, **wanted["metadata"]["annotations"]},
    }
    metadata.pop("managedFields", None)
    return {**wanted, "metadata": metadata}


def _same_traffic(live: Manifest, wanted: Manifest) -> bool:
    """Tell whether traffic is the same; a tag that is too many counts, unlike elsewhere."""

    def targets(manifest: Manifest) -> list[tuple[Any, ...]]:
        return [
            (each.get("revisionName"), each.get("percent") or 0, each.get("tag"))
            for each in manifest["spec"].get("traffic", [])
        ]

    return targets(live) == targets(wanted)


def contains(live: object, wanted: object) -> bool:
    """Tell whether `live` has all of `wanted`; what Knative's defaults added is not counted."""
    match wanted:
        case dict():
            return isinstance(live, dict) and all(
                (key in live and contains(live[key], value))
                # An empty list is not kept by the API.
                or (value == [] and key not in live)
                for key, value in wanted.items()
            )
        case list():
            return (
                isinstance(live, list)
                and len(live) == len(wanted)
                and all(contains(a, b) for a, b in zip(live, wanted, strict=True))
            )
        case _:
            return live == wanted

"""What belongs to a platform and how it looks from outside. Pure: objects in, plain data out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from maxcloud import system

Object = dict[str, Any]

SYSTEM = system.NAMESPACE
# Where what the platform stands on runs; the last ones are there in production alone.
NAMESPACES = (
    *(SYSTEM, "knative-serving", "knative-eventing", "kourier-system"),
    *("mc-database", "cnpg-system", "nats", "cert-manager", "external-dns"),
)

KSVC = ("serving.knative.dev/v1", "Service")
REVISION = ("serving.knative.dev/v1", "Revision")

OF_TENANTS = "maxcloud.dev/managed=true"
"""The label of what `reconcile` writes: organisations' namespaces, and their services."""

# Where the parts of Knative say which version they are: namespace and deployment.
KNATIVE_VERSIONS = {
    "Knative Serving": ("knative-serving", "controller"),
    "Knative Eventing": ("knative-eventing", "eventing-controller"),
    "net-kourier": ("knative-serving", "net-kourier-controller"),
}

# Everything that must be ready beside the functions.
PARTS = (
    ("eventing.knative.dev/v1", "Broker"),
    ("eventing.knative.dev/v1", "Trigger"),
    ("sources.knative.dev/v1", "ApiServerSource"),
    ("sources.knative.dev/v1", "PingSource"),
    ("networking.internal.knative.dev/v1alpha1", "Ingress"),
)

# Why something runs while nobody asks for anything, by the beginning of its pod's name.
WHY = {
    "postgres": "the truth: rows of services, organisations and keys",
    "distribution": "the private registry: a pull and a push are waited for",
    "apiserversource-services": "tells the broker of each change of a service",
    "activator": "holds requests for what sleeps, and wakes it",
    "storage": "where the registry keeps images, on one machine",
    "autoscaler": "decides how many instances a service has",
    "controller": "makes revisions, routes and deployments of services",
    "webhook": "checks what is written to Knative Serving",
    "net-kourier-controller": "tells the gateway the routes",
    "3scale-kourier-gateway": "takes every request",
    "eventing-controller": "looks after brokers, triggers and sources",
    "eventing-webhook": "checks what is written to Knative Eventing",
    "imc-controller": "makes the broker's channels",
    "imc-dispatcher": "delivers what is in the channels",
    "mt-broker-controller": "makes brokers and triggers of channels",
    "mt-broker-filter": "leads events to who asked for their type",
    "mt-broker-ingress": "takes events",
    "pingsource-mt-adapter": "the timer of the sweep",
    "jetstream-ch-controller": "makes the broker's channels in NATS",
    "jetstream-ch-dispatcher": "delivers what is in the channels",
    "nats-webhook": "checks what is written to NATS' channels",
    "nats": "keeps the broker's events",
    "database": "the truth: rows of services, organisations and keys",
    "cloudnative-pg": "looks after the database",
    "plugin-barman-cloud": "copies the database into object storage",
    "cert-manager": "renews the certificate",
    "external-dns": "writes the zone's records",
}

# Why a namespace that is on its way out is still there, in Kubernetes' conditions.
_NAMESPACE_REMAINS = ("NamespaceContentRemaining", "NamespaceFinalizersRemaining")

# What a container waits for that is about to start; the last one's reason is told by its end.
_ON_THE_WAY = {"ContainerCreating", "PodInitializing", "CrashLoopBackOff"}

SERVICE_OF = "serving.knative.dev/service"
"""The label of each instance: the service that it is of."""

_REVISION_OF = "serving.knative.dev/revision"


def is_one_of(thing: Object, kinds: Iterable[str]) -> bool:
    """Tell whether an object is of one of the kinds, each said as `group/Kind` or `group/*`."""
    group = thing["apiVersion"].rpartition("/")[0]
    return bool({f"{group}/{thing['kind']}", f"{group}/*"} & set(kinds))


def ready(thing: Object) -> tuple[bool, str]:
    """Return whether an object is ready, and why not."""
    return condition(thing, "Ready")


def condition(thing: Object, type: str) -> tuple[bool, str]:
    """Return whether a condition of an object is true, and why not."""
    for each in thing.get("status", {}).get("conditions", []):
        if each["type"] == type:
            holds = each["status"] == "True"
            said = each.get("message") or each.get("reason") or "not yet"
            return holds, "" if holds else str(said)
    return False, "nobody has looked at it yet"


def functions(ksvcs: Iterable[Object], pods: Iterable[Object]) -> list[dict[str, Any]]:
    """Return each function: what serves, whether the newest is ready, how many instances run."""
    running: dict[str, int] = {}
    for pod in pods:
        name = pod["metadata"].get("labels", {}).get(SERVICE_OF)
        if name and pod.get("status", {}).get("phase") == "Running":
            running[name] = running.get(name, 0) + 1
    return [
        {
            "name": each["metadata"]["name"],
            "revision": serving(each),
            "newest": each.get("status", {}).get("latestCreatedRevisionName", ""),
            "ready": ready(each)[0],
            "why_not": ready(each)[1],
            "instances": running.get(each["metadata"]["name"], 0),
            "image": each["spec"]["template"]["spec"]["containers"][0]["image"],
        }
        for each in sorted(ksvcs, key=lambda each: str(each["metadata"]["name"]))
    ]


def serving(ksvc: Object) -> str:
    """Return the revision that gets most of a function's requests; nothing when none does."""
    targets = ksvc.get("status", {}).get("traffic", [])
    most: Object = max(targets, key=lambda target: target.get("percent") or 0, default={})
    return str(most.get("revisionName", ""))


def trouble(pods: Iterable[Object]) -> str:
    """Return why the pods of a revision do not start, in Kubernetes' words; nothing when they may.

    Knative itself says nothing of it for ten minutes.
    """
    for pod in pods:
        for each in pod.get("status", {}).get("containerStatuses", []):
            state = each.get("state", {})
            waiting = state.get("waiting", {})
            # Of the end before nothing is kept for long.
            ended = state.get("terminated") or each.get("lastState", {}).get("terminated", {})
            if each.get("restartCount", 0) > 1 and not each.get("ready") and ended:
                return (
                    f"{each['name']} ended with exit code {ended.get('exitCode')} again and again"
                )
            if waiting.get("reason", "ContainerCreating") not in _ON_THE_WAY:
                return f"{each['name']}: {waiting.get('message') or waiting['reason']}"
    return ""


def one_before(ksvc: Object, revisions: Iterable[Object]) -> str | None:
    """Return the newest revision that is older than the one that serves and can serve itself."""
    now = serving(ksvc)
    in_order = sorted(revisions, key=lambda each: int(_generation(each)))
    names = [each["metadata"]["name"] for each in in_order]
    older = in_order[: names.index(now)] if now in names else in_order
    usable = [each["metadata"]["name"] for each in older if ready(each)[0]]
    return usable[-1] if usable else None


def _generation(revision: Object) -> str:
    labels = revision["metadata"].get("labels", {})
    return str(labels.get("serving.knative.dev/configurationGeneration", "0"))


def others(parts: Iterable[Object]) -> list[dict[str, Any]]:
    """Return the broker, triggers, sources and routes, and whether each is ready."""
    return [_part(each, *ready(each)) for each in parts]


def workloads(deployments: Iterable[Object]) -> list[dict[str, Any]]:
    """Return what runs all the time beside the database, and whether each is available."""
    return [_part(each, *condition(each, "Available")) for each in deployments]


def missing(wanted: Iterable[Object], there: Iterable[Object]) -> list[dict[str, Any]]:
    """Return what every installation has and this one does not."""
    found = {(each["kind"], each["metadata"]["name"]) for each in there}
    kinds = {kind for _, kind in (KSVC, *PARTS)}
    return [
        _part(each, False, "it is not there; `maxcloud platform install` brings it back")
        for each in wanted
        if each["kind"] in kinds
        and each["apiVersion"] != "v1"
        and (each["kind"], each["metadata"]["name"]) not in found
    ]


def _part(thing: Object, is_ready: bool, why_not: str) -> dict[str, Any]:
    name = thing["metadata"]["name"]
    return {"kind": thing["kind"], "name": name, "ready": is_ready, "why_not": why_not}


def orphans(ksvcs: Iterable[Object], known: Sequence[str]) -> list[str]:
    """Return what is labelled as ours and has no row; nothing deletes it by itself."""
    rows = set(known)
    return [
        placed(each)
        for each in ksvcs
        if each["metadata"].get("labels", {}).get("maxcloud.dev/service-id") not in rows
    ]


def held(things: Iterable[Object]) -> list[dict[str, str]]:
    """Return what is to go and cannot, and what holds it; nothing of it goes by itself."""
    return [
        {"kind": each["kind"], "name": placed(each), "by": held_by(each)}
        for each in things
        if each["metadata"].get("deletionTimestamp") and held_by(each)
    ]


def held_by(thing: Object) -> str:
    """Return what keeps an object from going, in Kubernetes' words; nothing when it may go."""
    said = [
        str(each["message"])
        for each in thing.get("status", {}).get("conditions", [])
        if each["type"] in _NAMESPACE_REMAINS and each["status"] == "True"
    ]
    if finalizers := thing["metadata"].get("finalizers"):
        said.append(f"its finalizers {', '.join(finalizers)}")
    return "; ".join(said)


def placed(thing: Object) -> str:
    """Return an object's name, behind its namespace when it is in one."""
    metadata = thing["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def at_rest(pods: Iterable[Object], memory: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    """Return what runs without being asked: no instances of functions, no finished jobs."""
    found = []
    for pod in pods:
        metadata = pod["metadata"]
        asked_for = _REVISION_OF in metadata.get("labels", {})
        if asked_for or pod.get("status", {}).get("phase") != "Running":
            continue
        place = (metadata["namespace"], metadata["name"])
        known = [each for each in WHY if metadata["name"].startswith(f"{each}-")]
        name = max(known, key=len, default="")
        found.append(
            {
                "namespace": place[0],
                "name": name or metadata["name"],
                "memory_mib": round(memory[place] / 2**20) if place in memory else None,
                "why": WHY.get(name, ""),
            }
        )
    return sorted(found, key=lambda each: (each["namespace"], each["name"]))


_MEMORY = re.compile(
    r'^pod_memory_working_set_bytes\{namespace="([^"]+)",pod="([^"]+)"\} ([0-9.e+]+)', re.MULTILINE
)


def memory_of_pods(metrics: str) -> dict[tuple[str, str], int]:
    """Read the bytes that pods hold from the kubelet's /metrics/resource, by namespace and name."""
    return {(place, name): int(float(held)) for place, name, held in _MEMORY.findall(metrics)}


def version_of(deployment: Object | None) -> str:
    """Return the version that a deployment of Knative says of itself, else that of its image."""
    if deployment is None:
        return "not installed"
    said = deployment["metadata"].get("labels", {}).get("app.kubernetes.io/version", "")
    if re.match(r"v?[0-9]", said):
        return str(said)
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    return tag or "unknown"

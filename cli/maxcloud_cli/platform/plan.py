"""What an installation consists of, and in which order it is applied. Pure: manifests as data."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from maxcloud import system
from maxcloud_cli.platform.parts import SYSTEM, Object, is_one_of
from maxcloud_local import manifests

LABEL, OURS = "app.kubernetes.io/managed-by", "maxcloud-platform"
"""On everything that an installation makes, so that an uninstallation finds just that."""

SETTINGS = "platform"
"""The ConfigMap of the variables that every function gets."""

KNATIVE = "knative-serving"

STAMP = "maxcloud.dev/settings"

FUNCTION, JOB, DEPLOYMENT = "serving.knative.dev/Service", "batch/Job", "apps/Deployment"

# By name of the route, the host under the domain that it answers at.
_HOSTS = {"api": "api", "distribution": "registry"}

# The platform itself goes past the gateway: its public address may be a way out of the cluster.
_REGISTRY_ADDRESS = f"http://distribution.{SYSTEM}.svc.cluster.local"


@dataclass(frozen=True)
class Phase:
    """Objects that are applied together and then waited for, and what a person calls that."""

    title: str
    objects: Sequence[Object]


# Titles and the kinds of each phase. What is named nowhere comes in the first.
# The schema comes before the functions that need it; those of the version before work with it.
# A Trigger comes last: one that is there before its subscriber is looked at by backoff alone.
_LATER = (
    ("database", ("apps/StatefulSet",)),
    ("schema", (JOB,)),
    ("registry", (DEPLOYMENT,)),
    ("functions", (FUNCTION,)),
    ("routes", ("networking.internal.knative.dev/Ingress",)),
    ("broker and sources", ("eventing.knative.dev/Broker", "sources.knative.dev/*")),
    ("events", ("eventing.knative.dev/Trigger",)),
)

# A start takes a CPU for a second or two, and on the same nodes are the services of tenants.
_STARTED_AT_ONCE = 3

# What others stand in, run as or read, first.
_FIRST = ("Namespace", "ServiceAccount", "ConfigMap", "Secret")


def shipped(domain: str, image: str, settings: Mapping[str, str]) -> list[Object]:
    """Return the manifests that this version brings, for a domain and an image.

    `settings` are variables for every function; they win over what follows from the domain.
    """
    name = domain.partition(":")[0]
    found = [*manifests.read(manifests.BASE), *manifests.read(manifests.KNATIVE)]
    for each in found:
        if each["kind"] == "Ingress":
            host = _HOSTS[each["metadata"]["name"]]
            each["spec"]["rules"][0]["hosts"] = [f"{host}.{name}"]
        for container in containers(each):
            if container["image"] == "maxcloud":
                container["image"] = image
    variables = {
        "MAXCLOUD_DOMAIN": domain,
        "REGISTRY_URL": f"registry.{domain}",
        "REGISTRY_ADDRESS": _REGISTRY_ADDRESS,
        **settings,
    }
    return [
        *found,
        config_map(SYSTEM, SETTINGS, variables),
        config_map(KNATIVE, "config-domain", {name: ""}),
    ]


def marked(objects: Iterable[Object], *, makes_namespace: bool) -> list[Object]:
    """Return the objects with an installation's label, and with their settings' mark.

    A function is labelled as a service too, for it is one of the platform's own organisation.

    Knative's own, and a namespace that was there before (`makes_namespace` is false), get no label:
    they outlive it. The mark makes another setting another revision, which is tried as such, and
    another migration's Job: what that seeds depends on them.
    """
    listed = list(objects)
    stamp = _stamp(settings_of(listed))
    return [
        _labelled(each) if is_made(each, makes_namespace=makes_namespace) else each
        for each in (_stamped(_as_service(each), stamp) for each in listed)
    ]


def is_made(thing: Object, *, makes_namespace: bool) -> bool:
    """Tell whether an object is an installation's own, not one whose fields it sets."""
    if thing["kind"] == "Namespace":
        return makes_namespace
    return not is_of_knative(thing)


def is_of_knative(thing: Object) -> bool:
    """Tell whether an object is one of Knative's settings."""
    place = (thing["kind"], thing["metadata"].get("namespace"))
    return place == ("ConfigMap", KNATIVE)


def phases(objects: Sequence[Object]) -> list[Phase]:
    """Return the objects in the order in which they are applied."""
    later = [
        phase
        for title, kinds in _LATER
        for phase in _some_at_once(title, [each for each in objects if is_one_of(each, kinds)])
    ]
    taken = [id(each) for phase in later for each in phase.objects]
    first = [each for each in objects if id(each) not in taken]
    return [Phase("settings and rights", sorted(first, key=_turn)), *later]


def _some_at_once(title: str, objects: Sequence[Object]) -> list[Phase]:
    if not any(is_one_of(each, [FUNCTION]) for each in objects):
        return [Phase(title, objects)]
    return [
        Phase(
            f"{title}, {min(start + _STARTED_AT_ONCE, len(objects))} of {len(objects)}",
            objects[start : start + _STARTED_AT_ONCE],
        )
        for start in range(0, len(objects), _STARTED_AT_ONCE)
    ]


def settings_of(objects: Iterable[Object]) -> dict[str, str]:
    """Return the variables that every function gets."""
    for each in objects:
        metadata = each["metadata"]
        place = (each["kind"], metadata.get("namespace"), metadata["name"])
        if place == ("ConfigMap", SYSTEM, SETTINGS):
            return dict(each["data"])
    return {}


def api_url(objects: Iterable[Object]) -> str:
    """Return where the API answers."""
    listed = list(objects)
    [host] = next(
        each["spec"]["rules"][0]["hosts"]
        for each in listed
        if each["kind"] == "Ingress" and each["metadata"]["name"] == "api"
    )
    # A domain of one machine says its port; it is the one that is served without TLS.
    _, colon, port = settings_of(listed).get("MAXCLOUD_DOMAIN", "").partition(":")
    return f"http://{host}:{port}" if colon else f"https://{host}"


def images(objects: Iterable[Object]) -> set[str]:
    """Return the images of the functions."""
    return {
        container["image"]
        for each in objects
        if is_one_of(each, [FUNCTION])
        for container in containers(each)
    }


def containers(thing: Object) -> list[Object]:
    """Return the containers that an object's pods have; none when it has no pods."""
    template = thing.get("spec", {}).get("template", {})
    found: list[Object] = template.get("spec", {}).get("containers", [])
    return found


def config_map(namespace: str, name: str, data: Mapping[str, str]) -> Object:
    """Return a ConfigMap."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}


def _labelled(thing: Object) -> Object:
    metadata = thing["metadata"]
    labels = {**metadata.get("labels", {}), LABEL: OURS}
    changed = {**thing, "metadata": {**metadata, "labels": labels}}
    claims = thing.get("spec", {}).get("volumeClaimTemplates")
    if claims:
        changed["spec"] = {**thing["spec"], "volumeClaimTemplates": list(map(_labelled, claims))}
    return changed


def _as_service(thing: Object) -> Object:
    metadata = thing["metadata"]
    if not is_one_of(thing, [FUNCTION]) or not system.is_function(metadata["name"]):
        return thing
    labels = {**metadata.get("labels", {}), **system.labels(metadata["name"])}
    return {**thing, "metadata": {**metadata, "labels": labels}}


def _stamp(settings: Mapping[str, str]) -> str:
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stamped(thing: Object, stamp: str) -> Object:
    if not is_one_of(thing, [FUNCTION, JOB]):
        return thing
    template = thing["spec"]["template"]
    metadata = template.get("metadata", {})
    annotations = {**metadata.get("annotations", {}), STAMP: stamp}
    template = {**template, "metadata": {**metadata, "annotations": annotations}}
    return {**thing, "spec": {**thing["spec"], "template": template}}


def _turn(thing: Object) -> int:
    return _FIRST.index(thing["kind"]) if thing["kind"] in _FIRST else len(_FIRST)

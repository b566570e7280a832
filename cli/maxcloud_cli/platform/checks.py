"""What must be true of a cluster and of what was said before an installation, in words."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

import yaml

from maxcloud.config import Config
from maxcloud.errors import ConfigError
from maxcloud_cli.platform import parts, plan, secrets
from maxcloud_cli.platform.cluster import MANAGER, Cluster
from maxcloud_cli.platform.parts import KNATIVE_VERSIONS, SYSTEM, Object, is_one_of

# Knative 1.23 asks for it.
KUBERNETES = (1, 34)

# The oldest that the manifests were tried with.
KNATIVE = (1, 21)

# Knative's Go modules say 0.50 for what is released as 1.23, and so does who builds them.
_MODULES_BEHIND = 27

KOURIER = "kourier.ingress.networking.knative.dev"

# Images that only a node has, and whose tags Knative does not resolve either.
_ON_THE_NODE = "dev.local/"

# What the manifests are made of, and what brings it.
_KINDS = (
    ("serving.knative.dev/v1", "Service", "Knative Serving"),
    ("networking.internal.knative.dev/v1alpha1", "Ingress", "Knative Serving"),
    ("eventing.knative.dev/v1", "Broker", "Knative Eventing"),
    ("sources.knative.dev/v1", "ApiServerSource", "Knative Eventing"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "Kubernetes"),
)

# What an installation writes that only an administrator may.
_RIGHTS = (
    ("", "namespaces"),
    ("", "secrets"),
    ("apps", "deployments"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("networking.k8s.io", "networkpolicies"),
    ("scheduling.k8s.io", "priorityclasses"),
    ("networking.internal.knative.dev", "ingresses"),
    ("serving.knative.dev", "services"),
    ("eventing.knative.dev", "triggers"),
)


def problems(cluster: Cluster, objects: Sequence[Object], said: Collection[str]) -> list[str]:
    """Return all that stands in the way, one sentence each; none when nothing does.

    `said` names the Secrets whose content this installation is given.
    """
    if lacking := list(_of_rights(cluster)):
        return lacking
    kept = [
        name
        for name in (secrets.MAIL, secrets.STORAGE)
        if cluster.get("v1", "Secret", name, SYSTEM) is not None
    ]
    return [
        *_of_kubernetes(json.loads(cluster.read("/version"))),
        *_of_knative(cluster),
        *_of_knatives_settings(cluster, objects),
        *_of_volumes(cluster, objects),
        *of_images(plan.images(objects)),
        *of_settings(plan.settings_of(objects), {*said, *kept}),
    ]


def of_images(images: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with the images of the functions."""
    for image in sorted(images):
        if "@sha256:" not in image and not image.startswith(_ON_THE_NODE):
            yield (
                f"the image {image} names no digest: say it as NAME@sha256:…, "
                "so that every function and every start gets the same"
            )


def of_settings(settings: Mapping[str, str], has: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with the functions' variables; `has` names Secrets that there are."""
    try:
        # Read as the functions will read it.
        config = Config.from_env({"DATABASE_URL": "postgresql://", **settings}, needs_secret=False)
    except ConfigError as error:
        yield str(error)
        return
    if not config.dev_mode and secrets.MAIL not in has:
        yield (
            "no mail server is named, and people prove their addresses by mail: "
            "set RESEND_API_KEY or SMTP_URL for this command"
        )
    if secrets.STORAGE not in has:
        yield (
            "the private registry has no place for images: set REGISTRY_STORAGE_S3_BUCKET, "
            "…_REGION, …_REGIONENDPOINT, …_ACCESSKEY and …_SECRETKEY for this command"
        )


def _of_kubernetes(version: Mapping[str, str]) -> Iterator[str]:
    found = (int(version["major"]), int(re.sub(r"[^0-9]", "", version["minor"])))
    if found < KUBERNETES:
        yield f"Kubernetes is {version['gitVersion']}: {_dotted(KUBERNETES)} or newer is needed"


def _of_knative(cluster: Cluster) -> Iterator[str]:
    for version, kind, whose in _KINDS:
        if not cluster.knows(version, kind):
            yield f"{whose} is missing: the cluster knows no {kind}"
    yield from _of_channel(cluster)
    for name, (namespace, deployment) in KNATIVE_VERSIONS.items():
        found = parts.version_of(cluster.get("apps/v1", "Deployment", deployment, namespace))
        yield from of_knatives_version(name, found)
    if cluster.get("v1", "Service", "kourier-internal", "kourier-system") is None:
        yield "Kourier is missing: there is no Service kourier-internal in kourier-system"


def _of_channel(cluster: Cluster) -> Iterator[str]:
    """Yield that the channel which brokers are made of is not there."""
    settings = cluster.get("v1", "ConfigMap", "config-br-default-channel", "knative-eventing")
    said = (settings or {}).get("data", {}).get("channel-template-spec", "")
    channel = {"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel"}
    channel |= yaml.safe_load(said) or {}
    if not cluster.knows(channel["apiVersion"], channel["kind"]):
        yield f"the channel of brokers is missing: the cluster knows no {channel['kind']}"


def of_knatives_version(name: str, found: str) -> Iterator[str]:
    """Yield that a part of Knative is too old; one that does not say its age is taken as it is."""
    said = re.match(r"v?(\d+)\.(\d+)", found)
    if said is None:
        return
    major, minor = map(int, said.groups())
    if ((major, minor) if major else (1, minor - _MODULES_BEHIND)) < KNATIVE:
        yield f"{name} is {found}: {_dotted(KNATIVE)} or newer is needed"


def _of_knatives_settings(cluster: Cluster, objects: Sequence[Object]) -> Iterator[str]:
    chosen = _data(cluster, "config-network").get("ingress-class", "")
    if chosen != KOURIER:
        yield (
            f"Knative's ingress is {chosen or 'not set'}: "
            f"set ingress-class of config-network in {plan.KNATIVE} to {KOURIER}"
        )
    if _data(cluster, "config-features").get("secure-pod-defaults", "").lower() == "enabled":
        yield (
            "secure-pod-defaults is enabled in config-features: images that start as root, "
            "such as nginx, would not run; set it to AllowRootBounded or Disabled"
        )
    for each in objects:
        if plan.is_of_knative(each):
            name = each["metadata"]["name"]
            live = cluster.get("v1", "ConfigMap", name, plan.KNATIVE) or {}
            yield from of_conflicts(live, each)


def of_conflicts(live: Object, wanted: Object) -> Iterator[str]:
    """Yield the settings of Knative that somebody else has chosen otherwise."""
    ours: set[str] = set()
    for manager in live.get("metadata", {}).get("managedFields", []):
        if manager["manager"] == MANAGER:
            ours |= set(manager["fieldsV1"].get("f:data", {}))
    there = live.get("data", {})
    for key, value in wanted["data"].items():
        if f"f:{key}" not in ours and there.get(key, value) != value:
            yield (
                f"{key} of {wanted['metadata']['name']} in {plan.KNATIVE} is '{there[key]}', and "
                f"the platform needs '{value}': change it or take it out"
            )


def _of_rights(cluster: Cluster) -> Iterator[str]:
    lacking = []
    for group, resource in _RIGHTS:
        answer = cluster.create(
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "metadata": {},
                "spec": {
                    "resourceAttributes": {"group": group, "resource": resource, "verb": "create"}
                },
            }
        )
        if not answer["status"]["allowed"]:
            lacking.append(resource)
    if lacking:
        yield f"this context may not create {', '.join(lacking)}"


def _of_volumes(cluster: Cluster, objects: Sequence[Object]) -> Iterator[str]:
    claims = [
        claim
        for each in objects
        if is_one_of(each, ["apps/StatefulSet"])
        for claim in each["spec"].get("volumeClaimTemplates", [])
        if "storageClassName" not in claim["spec"]
    ]
    classes = cluster.list("storage.k8s.io/v1", "StorageClass") if claims else []
    default = "storageclass.kubernetes.io/is-default-class"
    if claims and not any(
        each["metadata"].get("annotations", {}).get(default) == "true" for each in classes
    ):
        yield "there is no default StorageClass, which the database's volume needs"


def _data(cluster: Cluster, name: str) -> Mapping[str, str]:
    found = cluster.get("v1", "ConfigMap", name, plan.KNATIVE) or {}
    data: Mapping[str, str] = found.get("data", {})
    return data


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))

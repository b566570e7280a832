"""From the Knative Service of one of the platform's own functions to what its row says. Pure.

Knative itself names and numbers their revisions, in the form that ours have. What their variables
hold is not taken over: a row is for its readers, and a manifest may say an address with a password.
"""

from typing import Any

from maxcloud.functions import Function, Revision
from maxcloud.knative.objects import Manifest, made_at
from maxcloud.knative.status import Observed
from maxcloud.models import Template
from maxcloud.traffic import LATEST

# Knative's own, on each revision.
_NUMBER = "serving.knative.dev/configurationGeneration"

_SCALE = "autoscaling.knative.dev/{}-scale"

# What Knative does where nothing is said: no bound, and a port of its choice.
_MAX_SCALE, _PORT = "1000", 8080


def revisions_of(ksvc: Manifest) -> list[str]:
    """Return the names of the revisions that a function's object knows of."""
    status = ksvc.get("status", {})
    names = {status.get("latestCreatedRevisionName"), status.get("latestReadyRevisionName")}
    names |= {each.get("revisionName") for each in status.get("traffic", [])}
    return sorted(filter(None, names))


def function(ksvc: Manifest, revisions: list[Manifest], seen: Observed) -> Function:
    """Return a function as it was `seen`; its newest revision is among those given."""
    made = sorted(map(_revision, revisions), key=lambda revision: revision.generation)
    return Function(
        name=ksvc["metadata"]["name"],
        revisions=tuple(made),
        traffic=tuple(_share(each) for each in ksvc["spec"].get("traffic", [])),
        status=seen.status.value,
        reason=seen.reason,
        message=seen.message,
        ready_revision=seen.ready_revision,
        made_at=seen.version[0],
        version=seen.version[1],
    )


def _revision(revision: Manifest) -> Revision:
    metadata, status = revision["metadata"], revision.get("status", {})
    template = _template(revision)
    resolved = [each.get("imageDigest", "") for each in status.get("containerStatuses", [])]
    ready = [each["status"] for each in status.get("conditions", []) if each["type"] == "Ready"]
    return Revision(
        generation=int(metadata["labels"][_NUMBER]),
        name=metadata["name"],
        image=template["image"],
        # What only a node has is run by its tag.
        digest=next((each.partition("@")[2] for each in resolved), ""),
        template=template,
        created_at=made_at(revision),
        is_ready=ready == ["True"],
    )


def _template(revision: Manifest) -> dict[str, Any]:
    spec, annotations = revision["spec"], revision["metadata"].get("annotations", {})
    container = spec["containers"][0]
    resources = container.get("resources", {})
    # Without a limit it may use all of a node; what it is sure to get is what there is to say.
    asked = {**resources.get("requests", {}), **resources.get("limits", {})}
    template = Template.model_construct(
        image=container["image"],
        port=(container.get("ports") or [{}])[0].get("containerPort", _PORT),
        command=container.get("command", []),
        args=container.get("args", []),
        env_vars={},
        min_scale=int(annotations.get(_SCALE.format("min"), "0")),
        max_scale=int(annotations.get(_SCALE.format("max"), _MAX_SCALE)),
        concurrency=spec.get("containerConcurrency", 0),
        timeout_seconds=spec.get("timeoutSeconds", 300),
        **{name: asked[name] for name in ("cpu", "memory") if name in asked},
    )
    return template.model_dump(mode="json")


def _share(target: Manifest) -> dict[str, Any]:
    revision = LATEST if target.get("latestRevision") else target["revisionName"]
    share = {"revision": revision, "percent": target.get("percent") or 0}
    return {**share, "tag": target["tag"]} if target.get("tag") else share

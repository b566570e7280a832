"""What Knative's webhook refuses, as far as the platform relies on it. Pure.

Source: knative.dev/serving, pkg/apis: serving/v1/*_validation.go, serving/k8s_validation.go,
autoscaling/annotation_validation.go. Everything that `serving` reads of an object is checked here,
so that it never meets one that it cannot read.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from maxcloud_local.kinds import REVISION, SERVICE, Kind
from maxcloud_local.serving.scaling import (
    WINDOW_LEAST_SECONDS,
    WINDOW_MOST_SECONDS,
    duration,
)
from maxcloud_local.store import Invalid, Object

# config-defaults: max-revision-timeout-seconds and container-concurrency-max-limit.
TIMEOUT_MOST_SECONDS = 600
CONCURRENCY_MOST = 1000

_PORT_MOST = 65535
_SCALE_MOST = 2**31 - 1
_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_NOT_A_LABEL = "not a DNS 1035 label"
_REFUSED = 'admission webhook "validation.webhook.serving.knative.dev" denied the request'


def admission(kind: Kind, old: Object | None, new: Object) -> None:
    """Raise Invalid, in Knative's words, for an object that it would not take.

    `old` is the object to be replaced, if any; objects of other kinds pass.
    """
    if kind == REVISION and old is not None and old.get("spec") != new.get("spec"):
        raise _refusal(["Immutable fields changed (-old +new): spec"])
    if kind == SERVICE and (complaints := list(_of_service(old, new))):
        raise _refusal(complaints)


def _refusal(complaints: list[str]) -> Invalid:
    return Invalid(f"{_REFUSED}: validation failed: " + "\n".join(complaints))


def _of_service(old: Object | None, new: Object) -> Iterator[str]:
    name = new["metadata"]["name"]
    if not _is_label(name):
        yield f"{_NOT_A_LABEL}: metadata.name"
    spec = new.get("spec")
    if not isinstance(spec, dict) or not isinstance(template := spec.get("template"), dict):
        yield "missing field(s): spec.template"
        return
    pod = template.get("spec")
    if not isinstance(pod, dict):
        yield "missing field(s): spec.template.spec"
        return
    for path, complaints in (
        ("spec.template.metadata", _of_metadata(template.get("metadata"), name)),
        ("spec.template.spec", _of_pod(pod)),
        ("spec.traffic", _of_traffic(spec.get("traffic"))),
    ):
        for message, field in complaints:
            yield f"{message}: {path}{field}"
    before = old["spec"]["template"] if old is not None else {}
    revision = _name(template)
    if revision and revision == _name(before) and before != template:
        yield (
            "Saw the following changes without a name change (-old +new): "
            f"spec.template.metadata.name\n{_difference(before, template)}"
        )


def _name(template: Object) -> Any:
    metadata = template.get("metadata")
    return metadata.get("name") if isinstance(metadata, dict) else None


def _of_metadata(metadata: Any, service: str) -> Iterator[tuple[str, str]]:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        yield "invalid value", ""
        return
    for field in ("labels", "annotations"):
        if not _is_words(metadata.get(field)):
            yield "invalid value", f".{field}"
            return
    name = metadata.get("name")
    if name is not None and not _is_label(name):
        yield f"invalid value: {_NOT_A_LABEL}", ".name"
    elif name is not None and not name.startswith(f"{service}-"):
        yield f'invalid value: "{name}" must have prefix "{service}-"', ".name"
    yield from _of_annotations(metadata.get("annotations") or {})


def _of_annotations(annotations: dict[str, str]) -> Iterator[tuple[str, str]]:
    scale = {}
    for key in ("min-scale", "max-scale", "initial-scale"):
        text = annotations.get(f"autoscaling.knative.dev/{key}", "0")
        if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _SCALE_MOST:
            yield f"invalid value: {text}", f".annotations.autoscaling.knative.dev/{key}"
            return
        scale[key] = int(text)
    least, most = scale["min-scale"], scale["max-scale"]
    if most and most < least:
        yield f"max-scale={most} is less than min-scale={least}", ".annotations"
    window = annotations.get("autoscaling.knative.dev/window")
    if window is not None:
        seconds = duration(window)
        if seconds is None or not WINDOW_LEAST_SECONDS <= seconds <= WINDOW_MOST_SECONDS:
            yield (
                f"expected 6s <= {window} <= 1h0m0s",
                ".annotations.autoscaling.knative.dev/window",
            )
    deadline = annotations.get("serving.knative.dev/progress-deadline")
    if deadline is not None and duration(deadline) is None:
        yield f"invalid value: {deadline}", ".annotations.serving.knative.dev/progress-deadline"


def _of_pod(pod: Object) -> Iterator[tuple[str, str]]:
    for field, most in (
        ("timeoutSeconds", TIMEOUT_MOST_SECONDS),
        ("containerConcurrency", CONCURRENCY_MOST),
    ):
        value = pod.get(field)
        if value is not None and not _is_number(value, 0, most):
            yield f"expected 0 <= {value} <= {most}", f".{field}"
    containers = pod.get("containers")
    if not isinstance(containers, list) or not containers:
        yield "missing field(s)", ".containers"
    elif len(containers) > 1:
        yield f"multi-container is off, but found {len(containers)} containers", ".containers"
    elif not isinstance(container := containers[0], dict) or not container:
        yield "missing field(s)", ".containers[0]"
    else:
        for message, field in _of_container(container):
            yield message, f".containers[0]{field}"


def _of_container(container: Object) -> Iterator[tuple[str, str]]:
    if not isinstance(container.get("image"), str) or not container["image"]:
        yield "missing field(s)", ".image"
    ports = container.get("ports") or []
    if not isinstance(ports, list) or not all(isinstance(port, dict) for port in ports):
        yield "invalid value", ".ports"
    elif len(ports) > 1:
        yield "more than one container port is set", ".ports"
    elif ports and not _is_number(number := ports[0].get("containerPort"), 1, _PORT_MOST):
        yield f"expected 1 <= {number} <= {_PORT_MOST}", ".ports[0].containerPort"


def _of_traffic(traffic: Any) -> Iterator[tuple[str, str]]:
    if not traffic:
        return
    if not isinstance(traffic, list) or not all(isinstance(target, dict) for target in traffic):
        yield "invalid value", ""
        return
    tags: list[str] = []
    for at, target in enumerate(traffic):
        if not _is_number(target.get("percent") or 0, 0, 100):
            yield f"expected 0 <= {target['percent']} <= 100", f"[{at}].percent"
            return
        revision, tag = target.get("revisionName"), target.get("tag")
        if revision is not None and not _is_label(revision):
            yield f'invalid key name "{revision}"', f"[{at}].revisionName"
        if target.get("latestRevision", not revision) != (not revision):
            wrong = str(target["latestRevision"]).lower()
            message = f'may not set revisionName "{revision or ""}" when latestRevision is {wrong}'
            yield message, f"[{at}].latestRevision"
        if tag is not None and not _is_label(tag):
            yield f"invalid value: {_NOT_A_LABEL}", f"[{at}].tag"
        elif tag in tags:
            yield f'Multiple definitions for "{tag}"', f"[{at}].tag"
        tags += [tag] if tag else []
    total = sum(target.get("percent") or 0 for target in traffic)
    if total != 100:  # noqa: PLR2004 - percent
        yield f"Traffic targets sum to {total}, want 100", ""


def _difference(old: Any, new: Any, path: str = "") -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        lines = [
            _difference(old.get(key), new.get(key), f"{path}.{key}")
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]
        return "\n".join(lines)
    return f"{path}:\n\t-: {json.dumps(old)}\n\t+: {json.dumps(new)}"


def _is_label(value: Any) -> bool:
    return isinstance(value, str) and _LABEL.fullmatch(value) is not None


def _is_number(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_words(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and all(isinstance(word, str) for word in value.values())
    )

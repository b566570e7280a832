"""What every object of the API must be, whatever its kind; the kinds' own rules are admission's."""

import base64
import re

from maxcloud_local.kinds import CONFIG_MAP, POD, SECRET, Kind
from maxcloud_local.kubernetes.refusals import BadRequest, invalid
from maxcloud_local.kubernetes.selectors import LABEL_VALUE, MOST_IN_A_LABEL
from maxcloud_local.store import Object

_MOST_IN_A_NAME = 253
_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")
_PATH_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/%\x00-\x1f\x7f]+")

_TYPES: dict[str, type] = {
    "name": str,
    "namespace": str,
    "uid": str,
    "resourceVersion": str,
    "labels": dict,
    "annotations": dict,
    "finalizers": list,
    "ownerReferences": list,
}

# What the API server alone writes.
_NOT_A_CLIENTS = ("managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds")


def checked(kind: Kind, namespace: str, name: str | None, said: Object) -> Object:
    """Return an object that was sent to a path, as it may be kept.

    `namespace` and `name` are the path's; a name of None is a new object's. Raises BadRequest and
    Invalid.
    """
    if (said.get("apiVersion"), said.get("kind")) != (kind.api_version, kind.name):
        raise BadRequest(
            f"this path takes {kind.api_version} {kind.name}, "
            f"the object is {said.get('apiVersion')} {said.get('kind')}"
        )
    if not isinstance(said.get("spec", {}), dict):
        raise BadRequest("spec must be an object")
    metadata = _metadata(said)
    if metadata.setdefault("namespace", namespace) != namespace:
        raise BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if not namespace:
        del metadata["namespace"]
    if name is None and not metadata.get("name"):
        raise invalid(kind, "", "metadata.name: Required value: name is required")
    if name is not None and metadata.get("name") != name:
        raise BadRequest(
            f"the name of the object ({metadata.get('name')}) does not match the name on the URL "
            f"({name})"
        )
    _require_rules(kind, metadata)
    if kind == POD:
        _require_containers(said)
    new = _encoded(kind, said) if kind in {SECRET, CONFIG_MAP} else said
    return {**new, "metadata": metadata}


def _metadata(said: Object) -> Object:
    metadata = said.get("metadata", {})
    if not isinstance(metadata, dict):
        raise BadRequest("metadata must be an object")
    known = {k: v for k, v in metadata.items() if v is not None and k not in _NOT_A_CLIENTS}
    for field, type in _TYPES.items():
        if field in known and not isinstance(known[field], type):
            raise BadRequest(f"metadata.{field} is of the wrong type")
    for field in ("labels", "annotations"):
        if not all(isinstance(value, str) for value in known.get(field, {}).values()):
            raise BadRequest(f"metadata.{field} must be strings")
    if not all(isinstance(finalizer, str) for finalizer in known.get("finalizers", [])):
        raise BadRequest("metadata.finalizers must be strings")
    return known


def _require_rules(kind: Kind, metadata: Object) -> None:
    name = metadata["name"]
    rule = _PATH_SEGMENT if kind.group.startswith("rbac.") else _SUBDOMAIN
    if len(name) > _MOST_IN_A_NAME or not rule.fullmatch(name):
        raise invalid(
            kind,
            name,
            f'metadata.name: Invalid value: "{name}": must be at most {_MOST_IN_A_NAME} lowercase '
            "letters, digits, '-' and '.', and begin and end with a letter or digit",
        )
    for key, value in metadata.get("labels", {}).items():
        if len(value) > MOST_IN_A_LABEL or not re.fullmatch(LABEL_VALUE, value):
            raise invalid(
                kind,
                name,
                f'metadata.labels: Invalid value: "{value}": the value of {key} must be at most '
                f"{MOST_IN_A_LABEL} letters, digits, '-', '_' and '.'",
            )


def _require_containers(pod: Object) -> None:
    containers = pod.get("spec", {}).get("containers", [])
    named = isinstance(containers, list) and all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in containers
    )
    if not named:
        raise BadRequest("spec.containers must be a list of objects with a name")


def _encoded(kind: Kind, said: Object) -> Object:
    # A secret's stringData becomes data, which is Base64.
    for field in ("data", "stringData"):
        values = {} if said.get(field) is None else said[field]
        if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
            raise BadRequest(f"{field} must be an object of strings")
    if kind != SECRET or not said.get("stringData"):
        return said
    encoded = {
        key: base64.b64encode(value.encode(errors="replace")).decode()
        for key, value in said["stringData"].items()
    }
    kept = {key: value for key, value in said.items() if key != "stringData"}
    return {**kept, "data": (said.get("data") or {}) | encoded}

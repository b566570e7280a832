"""The environment of a container, and what its image is pulled with, from its revision. Pure.

Source: Kubernetes, "Define Environment Variables for a Container"; the later of one name counts.
"""

import base64
import contextlib
import json
import re
from collections.abc import Callable, Mapping

from maxcloud_local.instances.running import CannotStart
from maxcloud_local.kinds import CONFIG_MAP, SECRET, Kind
from maxcloud_local.store import Object

# Looks an object of the revision's namespace up by its name.
Find = Callable[[Kind, str], Object | None]

_SOURCES = ((SECRET, "secretRef", "secretKeyRef"), (CONFIG_MAP, "configMapRef", "configMapKeyRef"))


def environment(container: Object, find: Find) -> dict[str, str]:
    """Return a container's variables.

    Raises CannotStart, as the kubelet says it, for what is missing and not optional.
    """
    variables: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        variables |= _all_of(source, find)
    for entry in container.get("env") or []:
        source = entry.get("valueFrom")
        if source is None:
            variables[entry["name"]] = expanded(entry.get("value") or "", variables)
        elif (value := _one_of(source, find)) is not None:
            variables[entry["name"]] = value
    return variables


def pull_auths(spec: Object, find: Find) -> Object:
    """Return what a pod's pull secrets hold, by host; one that is missing or broken is passed over.

    So does the kubelet, and tries the pull without.
    """
    auths: Object = {}
    for reference in spec.get("imagePullSecrets") or []:
        content = _content(SECRET, {**reference, "optional": True}, find) or {}
        with contextlib.suppress(ValueError, KeyError, TypeError):
            auths |= json.loads(content[".dockerconfigjson"])["auths"]
    return auths


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """Put variables in where a value, a command or an argument says $(NAME); $$ stands for $.

    Source: kubernetes/third_party/forked/golang/expansion/expand.go.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        return "$" if name is None else variables.get(name, found[0])

    return re.sub(r"\$(?:\$|\(([^)]*)\))", value, text)


def _all_of(source: Object, find: Find) -> dict[str, str]:
    for kind, whole, _ in _SOURCES:
        if reference := source.get(whole):
            found = _content(kind, reference, find) or {}
            prefix = source.get("prefix") or ""
            return {f"{prefix}{key}": value for key, value in found.items()}
    raise CannotStart("CreateContainerConfigError", "an entry of envFrom names nothing known here")


def _one_of(source: Object, find: Find) -> str | None:
    for kind, _, one in _SOURCES:
        if reference := source.get(one):
            found = _content(kind, reference, find)
            value = None if found is None else found.get(reference["key"])
            if value is None and not reference.get("optional"):
                raise CannotStart(
                    "CreateContainerConfigError",
                    f"couldn't find key {reference['key']} in {kind.name} {reference['name']}",
                )
            return value
    raise CannotStart("CreateContainerConfigError", "an entry of env names nothing known here")


def _content(kind: Kind, reference: Object, find: Find) -> dict[str, str] | None:
    found = find(kind, reference["name"])
    if found is None:
        if reference.get("optional"):
            return None
        raise CannotStart(
            "CreateContainerConfigError", f'{kind.name.lower()} "{reference["name"]}" not found'
        )
    data: dict[str, str] = found.get("data") or {}
    if kind is SECRET:
        # What is no text reaches the process as the bytes it is.
        return {
            key: base64.b64decode(value).decode(errors="surrogateescape")
            for key, value in data.items()
        }
    return data

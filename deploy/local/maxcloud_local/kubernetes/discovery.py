"""Discovery: what an API server tells of itself, so that kubectl finds the kinds.

Every document is fixed, so they are a table of paths. Of OpenAPI there is as much as
`kubectl apply` asks: that the server looks at the fields itself.
"""

from maxcloud_local.kinds import INGRESS, KINDS, POD, Kind
from maxcloud_local.store import Object

# Versions of objects are numbers that can be compared since 1.35 (KEP-5504), as they are here.
_KUBERNETES = ("1", "35")

_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def documents() -> dict[str, Object]:
    """Return every document by its path."""
    groups = [_group(name) for name in sorted({kind.group for kind in KINDS if kind.group})]
    roots = {root_of(kind): kind for kind in KINDS}
    major, minor = _KUBERNETES
    found: dict[str, Object] = {
        "/version": {
            "major": major,
            "minor": minor,
            "gitVersion": f"v{major}.{minor}.0+maxcloud.local",
            "platform": "local",
        },
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": groups,
        },
        "/openapi/v3": {
            "paths": {
                root[1:]: {"serverRelativeURL": f"/openapi/v3{root}?hash=1"} for root in roots
            }
        },
    }
    found |= {f"/apis/{group['name']}": group for group in groups}
    found |= {root: _resources(kind) for root, kind in roots.items()}
    found |= {f"/openapi/v3{root}": _openapi(kind) for root, kind in roots.items()}
    return found


def root_of(kind: Kind) -> str:
    """Return the path under which a kind's group and version stand."""
    return f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"


def collection_of(kind: Kind) -> str:
    """Return the path under which a kind's objects stand, as a pattern."""
    home = "/namespaces/{namespace}" if kind.namespaced else ""
    return f"{root_of(kind)}{home}/{kind.plural}"


def _group(name: str) -> Object:
    # `v1` sorts before its betas, and is what clients are to prefer.
    versions = sorted({kind.version for kind in KINDS if kind.group == name})
    served = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": name,
        "versions": served,
        "preferredVersion": served[0],
    }


def _resources(like: Kind) -> Object:
    resources = [_resource(kind) for kind in KINDS if kind.api_version == like.api_version]
    if not like.group:
        log = {"name": "pods/log", "singularName": "", "namespaced": True, "kind": POD.name}
        resources.append({**log, "verbs": ["get"]})
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": like.api_version,
        "resources": resources,
    }


def _resource(kind: Kind) -> Object:
    return {
        "name": kind.plural,
        "singularName": kind.name.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": _VERBS,
        "shortNames": list(kind.short),
        "categories": _categories(kind),
    }


def _categories(kind: Kind) -> list[str]:
    if kind.group.endswith("knative.dev") and kind != INGRESS:
        return ["all", "knative"]
    return ["all"] if kind.plural in {"pods", "services"} else []


def _openapi(like: Kind) -> Object:
    alike = [kind for kind in KINDS if kind.api_version == like.api_version]
    return {
        "openapi": "3.0.0",
        "info": {"title": "max-cloud, the local engine", "version": ".".join(_KUBERNETES)},
        "paths": {f"{collection_of(kind)}/{{name}}": {"patch": _patch(kind)} for kind in alike},
    }


def _patch(kind: Kind) -> Object:
    # kubectl looks for this parameter, and for one called dryRun, which is not there.
    return {
        "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-group-version-kind": {
            "group": kind.group,
            "version": kind.version,
            "kind": kind.name,
        },
    }

"""The Kubernetes API, for all but logs: those are read in `pods.py`.

Objects are plain dicts (typed models drop fields they do not know). The client is synchronous,
which costs half the import time of the asynchronous one, so each call runs in a thread.
"""

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import urllib3.exceptions
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from maxcloud.errors import MaxCloudError, TemporaryError
from maxcloud.knative import isolation
from maxcloud.knative.objects import MANAGED, Manifest

# Bounds one call, so that a handler ends well before its event is delivered again.
CALL_SECONDS = 10

PAGE = 500

REVISION = "serving.knative.dev/revision"

_KNATIVE = "/apis/serving.knative.dev/v1"

_JSON = "application/json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_FORBIDDEN, _NOT_FOUND, _CONFLICT = 403, 404, 409

# Ours to mend, and no tenant's fault: a credential that has expired, a right that is missing while
# an installation is under way, too many requests.
_NOT_NOW = {401, _FORBIDDEN, 429}

# k8s.io/api/core/v1, NamespaceTerminatingCause.
_ENDING = "NamespaceTerminating"


class Refused(MaxCloudError):
    """The cluster will never take this object as it is; the message is the cluster's own."""


class QuotaExceeded(Refused):
    """The namespace has no room for another object."""


class Away(TemporaryError):
    """The cluster cannot be asked at the moment; `in_words` is what a tenant reads of it."""

    in_words = "the cluster cannot be reached"


class Ending(Away):
    """The namespace is being deleted, and takes nothing until it is gone."""

    in_words = "the namespace is being deleted"


async def get_service(namespace: str, name: str) -> Manifest | None:
    """Return a Knative Service, or None when there is none."""
    return await _get("services", namespace, name)


async def get_revision(namespace: str, name: str) -> Manifest | None:
    """Return a Knative revision, or None when there is none."""
    return await _get("revisions", namespace, name)


async def pods_of_revision(namespace: str, revision: str) -> list[Manifest]:
    """Return the instances of a revision."""
    path, selector = f"/api/v1/namespaces/{namespace}/pods", f"{REVISION}={revision}"
    found = await _call(_request("GET", path, query={"labelSelector": selector}))
    pods: list[Manifest] = found["items"]
    return pods


async def create_service(manifest: Manifest) -> Manifest:
    """Create a Knative Service and return it as the cluster keeps it."""
    path = _knative(manifest["metadata"]["namespace"], "services")
    created: Manifest = await _call(_request("POST", path, manifest))
    return created


async def replace_service(manifest: Manifest) -> Manifest:
    """Put a Knative Service in place of the one with the same resourceVersion.

    Raises TemporaryError when somebody else wrote in between.
    """
    metadata = manifest["metadata"]
    path = _knative(metadata["namespace"], "services", metadata["name"])
    replaced: Manifest = await _call(_request("PUT", path, manifest))
    return replaced


async def delete_service(live: Manifest) -> None:
    """Let a Knative Service go, and in the background all it owns; one that is gone is fine.

    Raises TemporaryError when the object was made anew in between.
    """
    metadata = live["metadata"]
    path = _knative(metadata["namespace"], "services", metadata["name"])
    preconditions = {"uid": metadata["uid"]}
    options = {"propagationPolicy": "Background", "preconditions": preconditions}
    await _call(_request("DELETE", path, options), absent_is_none=True)


async def managed_services() -> AsyncIterator[Manifest]:
    """Yield the metadata of every Knative Service that max-cloud wrote, page by page."""
    async for item in _managed(f"{_KNATIVE}/services", accept=_METADATA_ONLY):
        yield item


async def isolate(wanted: Manifest) -> None:
    """Make one of an organisation's own objects as it should be, or its namespace.

    Raises Occupied and Refused when it cannot be, TemporaryError when somebody else wrote in
    between.
    """
    collection, path = isolation.path_of(wanted)
    live = await _call(_request("GET", path), absent_is_none=True)
    if live is None:
        await _call(_request("POST", collection, wanted))
    elif (changed := isolation.replacement(live, wanted)) is not None:
        await _call(_request("PUT", path, changed))


async def isolating_objects() -> AsyncIterator[Manifest]:
    """Yield every object that `isolate` wrote, page by page."""
    for kind, path in isolation.RESOURCES.items():
        async for item in _managed(path, name=isolation.BY_NAME.get(kind)):
            yield {**item, "kind": kind}  # a list's items do not say what they are


async def _managed(
    path: str, accept: str = _JSON, name: str | None = None
) -> AsyncIterator[Manifest]:
    position = ""
    while True:
        query = {"labelSelector": f"{MANAGED}=true", "limit": str(PAGE), "continue": position}
        if name:
            query["fieldSelector"] = f"metadata.name={name}"
        page = await _call(_request("GET", path, query=query, accept=accept))
        for item in page["items"]:
            yield item
        position = page["metadata"].get("continue", "")
        if not position:
            return


async def _get(plural: str, namespace: str, name: str) -> Manifest | None:
    path = _knative(namespace, plural, name)
    found: Manifest | None = await _call(_request("GET", path), absent_is_none=True)
    return found


def _knative(namespace: str, plural: str, *name: str) -> str:
    return "/".join([f"{_KNATIVE}/namespaces", namespace, plural, *name])


def _request(
    method: str,
    path: str,
    body: Manifest | None = None,
    query: Mapping[str, str] | None = None,
    accept: str = _JSON,
) -> Callable[..., Any]:
    # What the typed APIs do inside: CoreV1Api costs 400 ms of start, CustomObjectsApi 20.
    def send(_request_timeout: int) -> Any:
        web = _api()
        request = web.param_serialize(
            method,
            path,
            query_params=[(key, value) for key, value in (query or {}).items() if value],
            header_params={"Accept": accept, "Content-Type": _JSON},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = web.call_api(*request, _request_timeout=_request_timeout)
        content = answer.read()  # type: ignore[no-untyped-call]
        if answer.status >= 400:  # noqa: PLR2004 - HTTP
            raise ApiException.from_response(http_resp=answer, body=content.decode(), data=None)
        return json.loads(content)

    return send


@functools.cache
def _api() -> client.ApiClient:
    try:
        config.load_incluster_config()  # type: ignore[no-untyped-call]
    except config.ConfigException:
        config.load_kube_config()  # type: ignore[no-untyped-call]
    settings = client.Configuration.get_default_copy()
    # By itself it would ask a silent server four times; an event comes again anyway.
    settings.retries = False
    client.Configuration.set_default(settings)
    return client.ApiClient()


async def _call(call: Callable[..., Any], *, absent_is_none: bool = False) -> Any:
    try:
        return await asyncio.to_thread(call, _request_timeout=CALL_SECONDS)
    except ApiException as error:
        if error.status == _NOT_FOUND and absent_is_none:
            return None
        said = _message(error)
        if error.status in {_CONFLICT, _NOT_FOUND}:  # written, or gone, since we looked
            raise TemporaryError(said) from error
        if error.status == _FORBIDDEN and _ENDING in _causes(error):
            raise Ending(said) from error
        if error.status == _FORBIDDEN and "exceeded quota" in said:  # it has no status of its own
            raise QuotaExceeded(said) from error
        if error.status in _NOT_NOW or error.status >= 500:  # noqa: PLR2004 - HTTP
            raise Away(f"Kubernetes answered {error.status}: {said}") from error
        raise Refused(said) from error
    except urllib3.exceptions.HTTPError as error:
        raise Away(f"Kubernetes cannot be reached: {type(error).__name__}") from error


def _message(error: ApiException) -> str:
    return str(_said(error).get("message", error.reason))


def _causes(error: ApiException) -> set[str]:
    details = _said(error).get("details") or {}
    return {cause.get("reason") for cause in details.get("causes") or ()}


def _said(error: ApiException) -> dict[str, Any]:
    """Return the Status that Kubernetes answered; empty when something else did."""
    try:
        said = json.loads(error.body or "")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}

"""The Kubernetes API, as the commands for operators use it: the only file here that talks to it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import urllib3.exceptions
import yaml
from kubernetes import config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import DynamicApiError, ResourceNotFoundError

from maxcloud_cli.platform.errors import ClusterRefused, NoCluster
from maxcloud_cli.platform.parts import Object

# Bounds one call; an API server that is there answers much sooner.
CALL_SECONDS = 30

# Who owns the fields that are written here. A manager of its own: under kubectl's, what Knative's
# own files set would be taken away.
MANAGER = "maxcloud"

MERGE = "application/merge-patch+json"

_NOT_FOUND = 404

# Made by Kubernetes of a Service, with its labels, and let go with it; it does not say whose it is.
_FOLLOWING = {"endpoints"}


class Cluster:
    """A cluster, as one context of the kubeconfig reaches it."""

    def __init__(self, context: str | None = None) -> None:
        """Connect; raises NoCluster."""
        try:
            api = config.new_client_from_config(context=context)  # type: ignore[no-untyped-call]
            self._client = DynamicClient(api)  # type: ignore[no-untyped-call]
        except (config.ConfigException, yaml.YAMLError, OSError) as error:
            raise NoCluster(f"the kubeconfig cannot be used: {_first_line(error)}") from error
        except (urllib3.exceptions.HTTPError, ApiException, DynamicApiError) as error:
            raise NoCluster(f"the cluster does not answer: {_first_line(error)}") from error

    def read(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """Return what a path of the API answers; raises LookupError when there is nothing."""
        parameters = list((query or {}).items())
        with _answering():
            try:
                answer = self._client.request(
                    "get",
                    path,
                    query_params=parameters,
                    serialize=False,
                    _request_timeout=CALL_SECONDS,
                )
            except DynamicApiError as error:
                if error.status == _NOT_FOUND:
                    raise LookupError(path) from error
                raise ClusterRefused(_message(error)) from error
        return str(answer.data.decode())

    def knows(self, api_version: str, kind: str) -> bool:
        """Tell whether the cluster has a kind of objects."""
        return self._resource(api_version, kind) is not None

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """Return an object, or None when it or its kind is not there."""
        resource = self._resource(api_version, kind)
        if resource is None:
            return None
        return self._call(resource.get, name=name, **_in(namespace))

    def list(
        self, api_version: str, kind: str, namespace: str = "", labels: str = ""
    ) -> Sequence[Object]:
        """Return the objects of a kind; none when the cluster does not know it."""
        resource = self._resource(api_version, kind)
        if resource is None:
            return []
        selected = {"label_selector": labels} if labels else {}
        found = self._call(resource.get, **_in(namespace), **selected)
        return [] if found is None else found["items"]

    def labelled(self, labels: str) -> Sequence[Object]:
        """Return what carries the labels, of whatever kind, and belongs to no other object."""
        found = []
        for version, resource in self._listable():
            path = f"{_path(version)}/{resource['name']}"
            for each in json.loads(self.read(path, {"labelSelector": labels}))["items"]:
                if not each["metadata"].get("ownerReferences"):
                    # A list says once what each in it is.
                    found.append({**each, "apiVersion": version, "kind": resource["kind"]})
        return found

    def apply(self, wanted: Object, *, dry_run: bool = False) -> Object:
        """Make an object have what `wanted` says, and return it; other fields are left alone."""
        resource = self._must_know(wanted)
        dry = {"dry_run": "All"} if dry_run else {}
        applied = self._call(
            resource.server_side_apply,
            body=wanted,
            field_manager=MANAGER,
            force_conflicts=True,
            **_in(wanted["metadata"].get("namespace", "")),
            **dry,
        )
        if applied is None:
            raise ClusterRefused(f"there is no namespace {wanted['metadata'].get('namespace')}")
        return applied

    def create(self, wanted: Object) -> Object:
        """Create an object and return it."""
        resource = self._must_know(wanted)
        created = self._call(
            resource.create, body=wanted, **_in(wanted["metadata"].get("namespace", ""))
        )
        if created is None:
            raise ClusterRefused(f"there is no namespace {wanted['metadata'].get('namespace')}")
        return created

    def merge(
        self, api_version: str, kind: str, name: str, namespace: str, patch: Object
    ) -> Object | None:
        """Change an object by a merge patch and return it; None when it is not there."""
        resource = self._must_know({"apiVersion": api_version, "kind": kind})
        return self._call(
            resource.patch,
            body=patch,
            name=name,
            content_type=MERGE,
            field_manager=f"{MANAGER}-rollback",
            **_in(namespace),
        )

    def delete(self, api_version: str, kind: str, name: str, namespace: str = "") -> bool:
        """Let an object go, with all it owns, and tell whether it was there."""
        resource = self._resource(api_version, kind)
        if resource is None:
            return False
        options = {"propagationPolicy": "Background"}
        return self._call(resource.delete, name=name, body=options, **_in(namespace)) is not None

    def _listable(self) -> Iterator[tuple[str, Object]]:
        """Yield each kind of objects once, with the first of its group's versions that has it."""
        groups = json.loads(self.read("/apis"))["groups"]
        for versions in (["v1"], *([one["groupVersion"] for one in g["versions"]] for g in groups)):
            told: set[str] = set()
            for version in versions:
                for each in self._resources_of(version):
                    if each["name"] not in told | _FOLLOWING and "list" in each["verbs"]:
                        told.add(each["name"])
                        yield version, each

    def _resources_of(self, version: str) -> Sequence[Object]:
        try:
            found = json.loads(self.read(_path(version)))["resources"]
        except (LookupError, ClusterRefused):
            # Served by somebody else, who is away, as a metrics server may be.
            return []
        return [each for each in found if "/" not in each["name"]]

    def _resource(self, api_version: str, kind: str) -> Any:
        with _answering():
            try:
                return self._client.resources.get(api_version=api_version, kind=kind)
            except ResourceNotFoundError:
                return None

    def _must_know(self, wanted: Object) -> Any:
        resource = self._resource(wanted["apiVersion"], wanted["kind"])
        if resource is None:
            raise ClusterRefused(f"the cluster knows no {wanted['apiVersion']} {wanted['kind']}")
        return resource

    def _call(self, call: Any, **arguments: Any) -> Object | None:
        with _answering():
            try:
                answer: Object = call(**arguments, _request_timeout=CALL_SECONDS).to_dict()
            except DynamicApiError as error:
                if error.status == _NOT_FOUND:
                    return None
                raise ClusterRefused(_message(error)) from error
        return answer


@contextmanager
def _answering() -> Iterator[None]:
    """Raise NoCluster for what is no answer at all."""
    try:
        yield
    except urllib3.exceptions.HTTPError as error:
        raise NoCluster(f"the cluster does not answer: {_first_line(error)}") from error


def _path(version: str) -> str:
    return f"/api/{version}" if version == "v1" else f"/apis/{version}"


def _in(namespace: str) -> dict[str, str]:
    return {"namespace": namespace} if namespace else {}


def _message(error: DynamicApiError) -> str:
    try:
        return str(json.loads(error.body or "")["message"])
    except (KeyError, TypeError, ValueError):
        return _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

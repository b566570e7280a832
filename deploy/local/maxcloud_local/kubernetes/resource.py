"""What can be done with the objects of one kind over the API."""

from aiohttp import web

from maxcloud_local.kinds import KINDS, NAMESPACE, Kind
from maxcloud_local.kubernetes import forms, incoming
from maxcloud_local.kubernetes.checks import checked
from maxcloud_local.kubernetes.patches import MERGE, STRATEGIC, patched
from maxcloud_local.kubernetes.refusals import BadRequest, invalid
from maxcloud_local.kubernetes.selectors import selection
from maxcloud_local.kubernetes.watches import Watches, page
from maxcloud_local.store import Conflict, Object, Store


class Resource:
    """The verbs of one kind; each raises a Refused or a StoreError for what it does not do."""

    def __init__(self, kind: Kind, store: Store, watches: Watches) -> None:
        self._kind, self._store, self._watches = kind, store, watches

    async def list(self, request: web.Request) -> web.StreamResponse:
        """List or watch, in one namespace or, where the path names none, in all."""
        namespace = request.match_info.get("namespace")
        selected = selection(
            request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        )
        form = forms.asked(request, self._kind)
        if incoming.flag(request, "watch"):
            return await self._watches.follow(form, namespace, selected, request)
        found, metadata = page(self._store, self._kind, namespace, selected, request)
        return web.json_response(form.many(found, metadata))

    async def get(self, request: web.Request) -> web.Response:
        """Return one object."""
        form = forms.asked(request, self._kind)
        return web.json_response(form.one(self._store.get(self._kind, *_key(request))))

    async def create(self, request: web.Request) -> web.Response:
        """Make a new object; a status that comes along is left out."""
        _require_no_dry_run(request)
        said = await incoming.read_object(request, incoming.JSON)
        namespace = request.match_info.get("namespace", "")
        new = checked(self._kind, namespace, None, said)
        if namespace:
            self._store.get(NAMESPACE, "", namespace)
        for not_a_clients in ("uid", "resourceVersion"):
            new["metadata"].pop(not_a_clients, None)
        new.pop("status", None)
        return self._answer(self._store.create(self._kind, new), status=201)

    async def replace(self, request: web.Request) -> web.Response:
        """Put an object in place of the live one."""
        _require_no_dry_run(request)
        said = await incoming.read_object(request, incoming.JSON)
        namespace, name = _key(request)
        new = checked(self._kind, namespace, name, said)
        self._store.get(self._kind, namespace, name)
        # Custom resources are not replaced blindly.
        if self._kind.group.endswith("knative.dev") and not new["metadata"].get("resourceVersion"):
            must = "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
            raise invalid(self._kind, name, must)
        return self._answer(self._replaced(new))

    async def patch(self, request: web.Request) -> web.Response:
        """Change a part of an object."""
        _require_no_dry_run(request)
        patch = await incoming.read_object(request, MERGE, STRATEGIC)
        namespace, name = _key(request)
        live = forms.whole(self._kind, self._store.get(self._kind, namespace, name))
        new = checked(self._kind, namespace, name, patched(live, patch))
        return self._answer(self._replaced(new))

    async def delete(self, request: web.Request) -> web.Response:
        """Let an object go; what it owns is taken away by who made it."""
        options = incoming.parse(await request.read() or b"{}")
        _require_no_dry_run(request, options)
        namespace, name = _key(request)
        uid = self._precondition(options, self._store.get(self._kind, namespace, name))
        gone = self._store.delete(self._kind, namespace, name, uid)
        if self._kind == NAMESPACE:
            self._empty(name)
        if self._store.find(self._kind, namespace, name) is not None:
            return self._answer(gone)
        details = {"name": name, "kind": self._kind.plural, "uid": gone["metadata"]["uid"]}
        if self._kind.group:
            details["group"] = self._kind.group
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return web.json_response({**success, "details": details})

    def _replaced(self, new: Object) -> Object:
        live = self._store.replace(self._kind, new)
        metadata = live["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self._store.finish(self._kind, metadata.get("namespace", ""), metadata["name"])
        return live

    def _precondition(self, options: Object, live: Object) -> str | None:
        wanted = options.get("preconditions") or {}
        if not isinstance(wanted, dict):
            raise BadRequest("preconditions must be an object")
        for field, value in wanted.items():
            if value is not None and value != live["metadata"].get(field):
                raise Conflict(
                    f"Operation cannot be fulfilled on {self._kind.plural} "
                    f'"{live["metadata"]["name"]}": the {field} in the precondition ({value}) is '
                    f"not that of the object ({live['metadata'].get(field)})"
                )
        return str(live["metadata"]["uid"])

    def _empty(self, namespace: str) -> None:
        for kind in KINDS:
            for each in self._store.all(kind, namespace) if kind.namespaced else []:
                self._store.delete(kind, namespace, each["metadata"]["name"])

    def _answer(self, found: Object, status: int = 200) -> web.Response:
        return web.json_response(forms.whole(self._kind, found), status=status)


def _key(request: web.Request) -> tuple[str, str]:
    return request.match_info.get("namespace", ""), request.match_info["name"]


def _require_no_dry_run(request: web.Request, options: Object | None = None) -> None:
    if request.query.get("dryRun") or (options or {}).get("dryRun"):
        raise BadRequest("dry runs are not possible here")

"""The one port of the platform: from a request's host and path to the revision that answers.

What net-kourier makes of Ingresses (pkg/generator/ingress_translator.go) and Envoy of that.
"""

import logging
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web
from multidict import CIMultiDict

from maxcloud.errors import APIError
from maxcloud_local.gateway.forward import HEADERS_BYTES_MAX, Forwarder, as_it_came, passed_on
from maxcloud_local.gateway.guard import why_refused
from maxcloud_local.kinds import INGRESS, SERVICE
from maxcloud_local.registry import NO_REGISTRY, REGISTRY_HOST
from maxcloud_local.serving.conditions import YES, written
from maxcloud_local.serving.revisions import Revision
from maxcloud_local.serving.serving import Serving
from maxcloud_local.store import Change, Object, Store, What

DOMAIN = ".localhost"

# Envoy's word for who really connected.
_CLIENT_ADDRESS = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"

_LOCAL_NAME = ".svc.cluster.local"
_VISIBILITY = "networking.knative.dev/visibility"

# How long connections that are in use may go on when the engine ends.
_SHUTDOWN_SECONDS = 2.0

_log = logging.getLogger(__name__)

# What is no HTTP is answered 400; the web library would log it as if it were our mistake.
_no_log = logging.getLogger(f"{__name__}.parser")
_no_log.setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Path:
    """One line of an Ingress: requests below `prefix` go to a Knative Service.

    `wanted` are headers that must have exactly these values, `headers` those that are added.
    """

    prefix: str
    wanted: dict[str, str]
    namespace: str
    service: str
    headers: dict[str, str]

    def takes(self, request: web.Request) -> bool:
        """Tell whether a request goes here."""
        if not request.rel_url.raw_path.startswith(self.prefix):
            return False
        sent = request.headers
        # Envoy compares several headers of a name as one.
        return all(",".join(sent.getall(name, [])) == text for name, text in self.wanted.items())


def routes_of(ingresses: list[Object]) -> dict[str, list[Path]]:
    """Return the paths by host, the longest first, of equal ones in their order.

    A host belongs to the first that names it.
    """
    table: dict[str, list[Path]] = {}
    for ingress in ingresses:
        named: dict[str, list[Path]] = {}
        for rule in ingress["spec"].get("rules", []):
            said = (rule.get("http") or {}).get("paths", [])
            paths = [_path(path) for path in said if "rewriteHost" in path]
            for host in rule.get("hosts", []):
                named.setdefault(host.lower(), []).extend(paths)
        for host, paths in named.items():
            ordered = sorted(paths, key=lambda path: len(path.prefix), reverse=True)
            table.setdefault(host, ordered)
    return table


class Gateway:
    """Listens on `port` of this machine's loopback addresses; `run` keeps its tables up to date.

    `registry` is where the private registry listens, None where there is none.
    """

    def __init__(
        self,
        store: Store,
        serving: Serving,
        forwarder: Forwarder,
        port: int,
        registry: str | None = None,
    ) -> None:
        self._store, self._serving, self._forwarder = store, serving, forwarder
        self._port, self._registry = port, registry
        self._routes: dict[str, list[Path]] = {}
        self._homes: dict[str, str] = {}

    def runner(self) -> web.AppRunner:
        """Return the server, to be bound by whoever knows the sockets."""
        app = web.Application()
        # Every path: a dot would leave out one with a line break in it.
        app.router.add_route("*", r"/{path:[\s\S]*}", self._answer)
        app.on_response_prepare.append(as_it_came)
        return web.AppRunner(
            app,
            access_log=None,
            logger=_no_log,
            auto_decompress=False,
            # Who goes away must not keep an instance awake.
            handler_cancellation=True,
            max_line_size=HEADERS_BYTES_MAX,
            max_field_size=HEADERS_BYTES_MAX,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )

    async def run(self) -> None:
        """Follow Ingresses and Knative Services until cancelled."""
        async for change in self._store.changes():
            if change.kind == INGRESS:
                ingresses = self._store.all(INGRESS)
                self._routes = routes_of(ingresses)
                for ingress in ingresses:
                    self._say_ready(ingress)
            elif change.kind == SERVICE:
                self._note(change)

    def _note(self, change: Change) -> None:
        metadata = change.object["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        is_public = metadata.get("labels", {}).get(_VISIBILITY) != "cluster-local"
        if is_public and change.what is not What.DELETED:
            self._homes[name] = namespace
        elif self._homes.get(name) == namespace:
            del self._homes[name]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._routed(request)
        except Exception:
            _log.exception("%s failed", request.method)
            return web.Response(status=500, text="something went wrong in the local engine\n")

    async def _routed(self, request: web.Request) -> web.StreamResponse:
        if sum(len(name) + len(value) for name, value in request.raw_headers) > HEADERS_BYTES_MAX:
            return web.Response(status=431)
        host = bare(request.headers.get("Host", ""))
        if host in {"127.0.0.1", "[::1]"}:
            said = f"use http://localhost:{self._port}: services are found by their host name\n"
            return web.Response(status=404, text=said)
        headers = passed_on(request)
        if host == REGISTRY_HOST:
            return await self._to_registry(request, headers)
        if (paths := self._routes.get(host)) is not None:
            if (
                error := why_refused(
                    request.method, request.rel_url.raw_path, request.headers, self._origin(host)
                )
            ) is not None:
                return _refusal(error)
            path = next((path for path in paths if path.takes(request)), None)
            if path is None:
                return web.Response(status=404)
            for name, value in path.headers.items():
                headers[name] = value.replace(_CLIENT_ADDRESS, request.remote or "")
            revision = self._serving.route(path.namespace, path.service)
        else:
            revision = self._named(host)
        return await self._to_revision(request, revision, headers)

    async def _to_revision(
        self, request: web.Request, revision: Revision | None, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        if revision is None:
            return web.Response(status=404)
        return await self._forwarder.forward(request, revision, headers)

    async def _to_registry(
        self, request: web.Request, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        if self._registry is None:
            return web.Response(status=503, text=f"{NO_REGISTRY}\n")
        return await self._forwarder.hand_to(request, self._registry, headers)

    def _named(self, host: str) -> Revision | None:
        if not host.endswith(DOMAIN):
            return None
        name, _, tag = host.removesuffix(DOMAIN).partition("--")
        home = self._homes.get(name)
        return self._serving.route(home, name, tag or None) if home else None

    def _origin(self, host: str) -> str:
        # A browser leaves out the port that http has anyway.
        return f"http://{host}" if self._port == 80 else f"http://{host}:{self._port}"  # noqa: PLR2004

    def _say_ready(self, ingress: Object) -> None:
        metadata = ingress["metadata"]
        said = dict.fromkeys(("LoadBalancerReady", "NetworkConfigured", "Ready"), YES)
        status = {
            "conditions": written(said, ingress.get("status"), datetime.now(UTC)),
            "observedGeneration": metadata["generation"],
        }
        self._store.set_status(INGRESS, metadata["namespace"], metadata["name"], status)


def bare(host: str) -> str:
    """Return a Host header's name in lower case, without its port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and (port.isdecimal() or not port) else host.lower()


def _path(said: Object) -> Path:
    function, _, namespace = said["rewriteHost"].removesuffix(_LOCAL_NAME).partition(".")
    wanted = {name: match["exact"] for name, match in (said.get("headers") or {}).items()}
    added = said.get("appendHeaders") or {}
    return Path(said.get("path") or "/", wanted, namespace, function, added)


def _refusal(error: APIError) -> web.Response:
    """Return the API's one shape of errors, as maxcloud.wire has it."""
    request_id = str(uuid.uuid4())
    body = {"error": error.message, "code": error.error_code, "request_id": request_id}
    headers = {"X-Request-Id": request_id}
    return web.json_response(body, status=error.status_code, headers=headers)

"""The Kubernetes API, as far as max-cloud and kubectl use it.

Who has the token may do everything: roles are kept and shown, and not enforced.
"""

import hmac
import logging

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from maxcloud.errors import MaxCloudError
from maxcloud_local.kinds import KINDS, POD, Kind
from maxcloud_local.kubernetes import refusals
from maxcloud_local.kubernetes.discovery import collection_of, documents, root_of
from maxcloud_local.kubernetes.podlogs import PodLogs
from maxcloud_local.kubernetes.refusals import Refused, status_of
from maxcloud_local.kubernetes.resource import Resource
from maxcloud_local.kubernetes.streams import Streams
from maxcloud_local.kubernetes.watches import Watches
from maxcloud_local.logs import Logs
from maxcloud_local.store import NotFound, Object, Store, StoreError

# As many bytes as an API server takes of a body: k8s.io/apiserver, MaxRequestBodyBytes.
_BODY_BYTES = 3 * 2**20

_PROBES = ("/healthz", "/livez", "/readyz")

_log = logging.getLogger(__name__)


def application(store: Store, logs: Logs, token: str) -> web.Application:
    """Return the API over the objects and the instances' logs, for who has the token.

    Serve it with `handler_cancellation=True`, so that the watch of a client that has gone away
    ends at once.
    """
    streams = Streams()
    app = web.Application(
        middlewares=[_in_kubernetes_words, _for_who_has(token)], client_max_size=_BODY_BYTES
    )
    app.on_shutdown.append(streams.end)
    for path in _PROBES:
        app.router.add_get(path, _ok)
    for path, document in documents().items():
        app.router.add_get(path, _always(document))
    for kind in KINDS:
        _add(app, kind, Resource(kind, store, Watches(store, streams)))
    pod_log = f"{collection_of(POD)}/{{name}}/log"
    app.router.add_get(pod_log, PodLogs(store, logs, streams).read)
    return app


def _add(app: web.Application, kind: Kind, resource: Resource) -> None:
    collection = collection_of(kind)
    one = f"{collection}/{{name}}"
    if kind.namespaced:
        app.router.add_get(f"{root_of(kind)}/{kind.plural}", resource.list)
    app.router.add_get(collection, resource.list)
    app.router.add_post(collection, resource.create)
    app.router.add_get(one, resource.get)
    app.router.add_put(one, resource.replace)
    app.router.add_patch(one, resource.patch)
    app.router.add_delete(one, resource.delete)


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="ok")


def _always(document: Object) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(document)

    return answer


def _for_who_has(token: str) -> Middleware:
    wanted = f"Bearer {token}".encode()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        said = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if request.path not in _PROBES and not hmac.compare_digest(said, wanted):
            raise refusals.Unauthorized("Unauthorized")
        return await handler(request)

    return middleware


@web.middleware
async def _in_kubernetes_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ConnectionError:
        raise
    except Exception as error:
        status = status_of(_refusal(error))
        if status["reason"] == refusals.InternalError.__name__:
            _log.exception("%s %s failed", request.method, request.path)
        return web.json_response(status, status=status["code"])


def _refusal(error: Exception) -> MaxCloudError:
    match error:
        case Refused() | StoreError():
            return error
        case web.HTTPNotFound():
            return NotFound("the server could not find the requested resource")
        case web.HTTPMethodNotAllowed():
            said = "the server does not allow this method on the requested resource"
            return refusals.MethodNotAllowed(said)
        case web.HTTPRequestEntityTooLarge():
            return refusals.RequestEntityTooLarge(f"a body has {_BODY_BYTES} bytes at most")
    return refusals.InternalError("something went wrong on the engine's side")

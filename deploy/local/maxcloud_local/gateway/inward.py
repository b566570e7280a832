"""Where the private registry says what was pushed: in a cluster it reaches the function itself."""

from aiohttp import web

from maxcloud_local.gateway.forward import Forwarder
from maxcloud_local.platform import SYSTEM
from maxcloud_local.serving.serving import Serving

NOTIFICATIONS = "/notifications"
FUNCTION = "registry"

_PASSED_ON = ("Authorization", "Content-Type")


def add_to(app: web.Application, serving: Serving, forwarder: Forwarder) -> None:
    """Let an app take notifications for the function."""

    async def notify(request: web.Request) -> web.Response:
        revision = serving.route(SYSTEM, FUNCTION)
        if revision is None:
            return web.Response(status=503)
        headers = {key: request.headers[key] for key in _PASSED_ON if key in request.headers}
        body = await request.read()
        status, _ = await forwarder.deliver(revision, NOTIFICATIONS, headers, body, None)
        return web.Response(status=status)

    app.router.add_post(NOTIFICATIONS, notify)

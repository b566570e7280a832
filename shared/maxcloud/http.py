"""From a function's table of routes to its ASGI app.

A handler takes a Call and what else its signature asks for (`routes.py`), returns a model, and
raises named errors. What is malformed, unknown or too large never reaches it.
"""

import dataclasses
import logging
import os
import time
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from maxcloud import auth, errors, events, idempotency, log, wire
from maxcloud.answers import Health
from maxcloud.calls import Call
from maxcloud.config import Config
from maxcloud.models import Service
from maxcloud.roles import Role
from maxcloud.routes import Handler, Route
from maxcloud.store.database import Database
from maxcloud.store.idempotency import Key

_log = logging.getLogger(__name__)

EventHandler = Callable[[Call, events.Event], Awaitable[None]]
Endpoint = Callable[[Request], Awaitable[Response]]
Decorator = Callable[[Handler], Handler]


class Api:
    """The routes of one function."""

    def __init__(self, function: str, *, needs_secret: bool = False) -> None:
        """`needs_secret` is for who proves keys or signs tokens: nobody else gets SECRET_KEY."""
        self.function = function
        self.needs_secret = needs_secret
        self.routes: list[Route] = []
        self.hooks: list[Route] = []
        self._event_handlers: dict[str, EventHandler] = {}
        self._database: Database | None = None

    def get(self, path: str, role: Role | None = None, status: int = 200) -> Decorator:
        """Declare a GET route; `role` is the least one, None needs no credential."""
        return self._route("GET", path, role, status)

    def post(
        self, path: str, role: Role | None = None, status: int = 200, *, secret: bool = False
    ) -> Decorator:
        """Declare a POST route.

        One with a role takes an Idempotency-Key: then all that its handler writes to `call.db`
        is one transaction with its answer, and undone by what it raises. A `secret` answer is
        not kept, so its repetition is refused.
        """
        return self._route("POST", path, role, status, secret=secret)

    def put(self, path: str, role: Role | None = None, status: int = 200) -> Decorator:
        """Declare a PUT route."""
        return self._route("PUT", path, role, status)

    def patch(self, path: str, role: Role | None = None, status: int = 200) -> Decorator:
        """Declare a PATCH route."""
        return self._route("PATCH", path, role, status)

    def delete(self, path: str, role: Role | None = None, status: int = 204) -> Decorator:
        """Declare a DELETE route."""
        return self._route("DELETE", path, role, status)

    def events(self, path: str) -> Callable[[EventHandler], EventHandler]:
        """Declare where events arrive.

        A handler that returns has handled its event (204); TemporaryError asks for it again
        (503), PermanentError puts it with the dead letters (400).
        """

        def declare(handler: EventHandler) -> EventHandler:
            self._event_handlers[path] = handler
            return handler

        return declare

    def hook(self, path: str) -> Decorator:
        """Declare where another part of the platform posts to.

        It stands outside of the public paths and in no description; its handler looks at who asks.
        """

        def declare(handler: Handler) -> Handler:
            self.hooks.append(Route("POST", path, handler, None, 204))
            return handler

        return declare

    @cached_property
    def app(self) -> Starlette:
        """The app, configured from this process's environment; raises ConfigError."""
        config = self.configuration()
        self._database = Database(config.database_url)
        return self.build(config, self._database)

    def configuration(self) -> Config:
        """Read what this process's environment says; raises ConfigError."""
        return Config.from_env(os.environ, needs_secret=self.needs_secret)

    async def close(self) -> None:
        """Give back what `app` holds."""
        if self._database is not None:
            await self._database.close()

    def build(self, config: Config, db: Database) -> Starlette:
        """Return an app for this configuration and database."""
        by_path: dict[str, dict[str, Route]] = {}
        for route in (*self.routes, *self.hooks):
            by_path.setdefault(route.path, {})[route.method] = route
        routes = [
            StarletteRoute(path, self._endpoint(methods, config, db), methods=list(methods))
            for path, methods in by_path.items()
        ]
        routes += [
            StarletteRoute(path, self._event_endpoint(handler, config, db), methods=["POST"])
            for path, handler in self._event_handlers.items()
        ]
        if "/healthz" not in by_path:
            # Every instance is probed here; to the world the function `health` answers it.
            routes.append(StarletteRoute("/healthz", _healthz, methods=["GET"]))
        app = Starlette(routes=routes, middleware=[Middleware(wire.WholeBody)])
        # A redirect would name the internal host that Kourier rewrote the request to.
        app.router.redirect_slashes = False
        app.add_exception_handler(HTTPException, wire.refused_by_router)
        return app

    def _route(
        self, method: str, path: str, role: Role | None, status: int, *, secret: bool = False
    ) -> Decorator:
        def declare(handler: Handler) -> Handler:
            self.routes.append(Route(method, path, handler, role, status, secret))
            return handler

        return declare

    def _endpoint(self, methods: dict[str, Route], config: Config, db: Database) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            start = time.perf_counter()
            wire.name_request(request)
            call = Call(request, config, db, self.function)
            try:
                route = methods["GET" if request.method == "HEAD" else request.method]
                response = await _serve(call, route)
            except errors.APIError as error:
                response = wire.refusal(error)
            except Exception:
                _log.exception("%s %s failed", request.method, request.url.path)
                response = wire.refusal(errors.InternalError("something went wrong on our side"))
            took = round((time.perf_counter() - start) * 1000, 1)
            fields = {"status": response.status_code, "milliseconds": took}
            # Probes come every few seconds and say nothing.
            level = logging.DEBUG if request.url.path == "/healthz" else logging.INFO
            line = (request.method, request.url.path)
            _log.log(level, "%s %s", *line, extra={"fields": fields})
            return response

        return endpoint

    def _event_endpoint(self, handler: EventHandler, config: Config, db: Database) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            wire.name_request(request)
            call = Call(request, config, db, self.function)
            status, outcome = await _deliver(call, handler)
            fields = {
                "event_id": request.headers.get("ce-id"),
                "event_type": request.headers.get("ce-type"),
                "status": status,
                "outcome": outcome,
            }
            _log.info("event", extra={"fields": fields})
            # Empty, always: a broker publishes a non-empty answer as an event, and takes one that
            # is no event for a failed delivery.
            return Response(status_code=status, background=call.later)

        return endpoint


async def _serve(call: Call, route: Route) -> Response:
    if route.role is not None:
        call.identity = await auth.identify(call.request.headers, call.client, call.config, call.db)
        log.org_id.set(str(call.identity.org_id))
        auth.require(call.identity, route.role, call.config)
        call.later.add_task(auth.note_use, call.identity, call.db)
    wire.require_acceptable(call.request, route.media)
    asked = await route.read(call.request)
    key = idempotency.read_key(call.request) if route.takes_key else None
    if key is None:
        response = await _answer(call, route, asked)
    else:
        response = await idempotency.once(
            call.db,
            Key(call.org_id, f"{route.method} {route.path}", key),
            idempotency.digest_of(call.request.url.path, asked),
            lambda db: _answer(dataclasses.replace(call, db=db), route, asked),
            secret=route.secret,
        )
    response.headers["X-Request-Id"] = log.request_id.get() or ""
    response.background = call.later
    return response


async def _answer(call: Call, route: Route, asked: dict[str, Any]) -> Response:
    answer = await route.handler(call, **asked)
    if isinstance(answer, Response):
        response = answer
    elif answer is None:
        response = Response(status_code=route.status)
    else:
        response = Response(route.to_json(answer), route.status, media_type="application/json")
    if isinstance(answer, Service):
        response.headers["ETag"] = wire.etag(answer.generation)
    if route.pages and (link := route.pages.link(call.request.url.path, asked["page"])):
        response.headers["Link"] = link
    return response


async def _deliver(call: Call, handler: EventHandler) -> tuple[int, str]:
    try:
        event = events.Event.parse(dict(call.request.headers), await wire.read_bytes(call.request))
        log.request_id.set(wire.valid_request_id(event.extensions.get("requestid")))
        log.org_id.set(event.extensions.get("orgid"))
        await handler(call, event)
    except (errors.PermanentError, errors.PayloadTooLarge, errors.MalformedRequest) as error:
        return 400, str(error)
    except (errors.TemporaryError, errors.Unavailable) as error:
        return 503, str(error)
    except Exception:
        _log.exception("event handler failed")
        return 500, "failed"
    return 204, "handled"


async def _healthz(_: Request) -> Response:
    return Response(Health(status="ok").model_dump_json(), media_type="application/json")

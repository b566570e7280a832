"""Health: whether the platform is up, what runs here, and the API's own description."""

from typing import Any

from functions_framework.aio import http
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import maxcloud
from maxcloud import events, openapi
from maxcloud.answers import Health, Readiness, Version
from maxcloud.calls import Call
from maxcloud.errors import Unavailable
from maxcloud.http import Api

api = Api("health")


@http
async def health(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.get("/healthz")
async def healthz(call: Call) -> Health:
    """Say that the API is there; nothing else is asked."""
    return Health(status="ok")


@api.get("/readyz")
async def readyz(call: Call) -> Readiness:
    """Ask what the platform depends on; 503 names what is down."""
    down = []
    try:
        await call.db.ping()
    except Unavailable:
        down.append("database")
    if not await events.broker_answers(call.config.sink):
        down.append("broker")
    if down:
        raise Unavailable(f"down: {', '.join(down)}", retry_after=5)
    return Readiness(status="ok")


@api.get("/api/v1/version")
async def version(call: Call) -> Version:
    """Name the version and the commit that serve."""
    return Version(version=maxcloud.__version__, commit=call.config.commit)


@api.get("/api/v1/openapi.json")
async def openapi_document(call: Call) -> Response:
    """Describe the whole API as OpenAPI 3.1."""
    return JSONResponse(openapi.document())

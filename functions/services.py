"""Services: what a tenant deploys.

Here rows are written and read, nothing more; `reconcile` brings them to the cluster.
"""

from typing import Any

from functions_framework.aio import http
from starlette.requests import Request
from starlette.responses import RedirectResponse

from maxcloud.calls import Call
from maxcloud.events import Type
from maxcloud.fields import Ordinal, Text
from maxcloud.http import Api
from maxcloud.logs.query import LogsQuery
from maxcloud.models import DeployRequest, Revision, Service, ServiceEvent, UpdateRequest
from maxcloud.pages import Page
from maxcloud.roles import Role
from maxcloud.store import revisions, service_events
from maxcloud.store import services as rows
from maxcloud.traffic import TrafficRequest

api = Api("services", needs_secret=True)


@http
async def services(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.get("/api/v1/services", Role.READ)
async def list_services(call: Call, page: Page[Text]) -> list[Service]:
    """List the organisation's services by name."""
    found = await rows.all_of_organisation(
        call.db, call.org_id, after=page.after, most=page.look_for
    )
    return [row.public(call.config.domain) for row in page.cut(found, lambda row: row.name)]


@api.post("/api/v1/services", Role.DEPLOY, status=201)
async def deploy(call: Call, wanted: DeployRequest) -> Service:
    """Deploy an image as a new service."""
    row = await rows.create(call.db, call.org_id, wanted, by=call.caller.user)
    call.hint(Type.DEPLOY_REQUESTED, row.hint())
    return row.public(call.config.domain)


@api.get("/api/v1/services/{id}", Role.READ)
async def get_service(call: Call) -> Service:
    """Show one service; `id` is its id or its name."""
    row = await rows.get(call.db, call.org_id, call.parameter("id"))
    return row.public(call.config.domain)


@api.patch("/api/v1/services/{id}", Role.DEPLOY)
async def update(call: Call, patch: UpdateRequest, if_match: int | None) -> Service:
    """Change a service by a JSON merge patch; an image that is sent is resolved again."""
    by, id_or_name = call.caller.user, call.parameter("id")
    row = await rows.update(call.db, call.org_id, id_or_name, patch, by, if_match=if_match)
    call.hint(Type.DEPLOY_REQUESTED, row.hint())
    return row.public(call.config.domain)


@api.delete("/api/v1/services/{id}", Role.DEPLOY)
async def delete(call: Call, if_match: int | None) -> None:
    """Delete a service; it is shown as deleting until the cluster has let it go."""
    by, id_or_name = call.caller.user, call.parameter("id")
    row = await rows.mark_deleting(call.db, call.org_id, id_or_name, by, if_match=if_match)
    call.hint(Type.DELETE_REQUESTED, row.hint())


@api.get("/api/v1/services/{id}/revisions", Role.READ)
async def list_revisions(call: Call, page: Page[Ordinal]) -> list[Revision]:
    """List a service's revisions, newest first."""
    row = await rows.get(call.db, call.org_id, call.parameter("id"))
    found = await revisions.of_service(
        call.db, call.org_id, row.id, before=page.after, most=page.look_for
    )
    shown = page.cut(found, lambda revision: revision.generation)
    return [revision.public(row.percent_of(revision.name)) for revision in shown]


@api.get("/api/v1/services/{id}/events", Role.READ)
async def list_events(call: Call, page: Page[Ordinal]) -> list[ServiceEvent]:
    """Show what became of a service, newest first."""
    row = await rows.get(call.db, call.org_id, call.parameter("id"))
    found = await service_events.of_service(
        call.db, call.org_id, row.id, before=page.after, most=page.look_for
    )
    return [event.public() for event in page.cut(found, lambda event: event.id)]


@api.get("/api/v1/services/{id}/logs", Role.READ, status=307)
async def lead_to_logs(call: Call, query: LogsQuery) -> RedirectResponse:
    """Lead who does not ask for `text/event-stream` alone to the function that has the logs."""
    row = await rows.get(call.db, call.org_id, call.parameter("id"))
    # Without a host: the one here is the one that Kourier wrote.
    path = f"/api/v1/logs/{row.id}"
    sent = call.request.url.query
    return RedirectResponse(f"{path}?{sent}" if sent else path)


@api.put("/api/v1/services/{id}/traffic", Role.DEPLOY)
async def set_traffic(call: Call, wanted: TrafficRequest, if_match: int | None) -> Service:
    """Say which revisions get how much of the requests; a tag gives one a URL of its own."""
    by, id_or_name = call.caller.user, call.parameter("id")
    patch = UpdateRequest(traffic=wanted.root)
    row = await rows.update(call.db, call.org_id, id_or_name, patch, by, if_match=if_match)
    call.hint(Type.DEPLOY_REQUESTED, row.hint())
    return row.public(call.config.domain)

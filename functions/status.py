"""Status: write down in the rows what the cluster has become.

It hears of changes from Knative's ApiServerSource. The hints that wake `reconcile` wake it too: so
it is awake when the first change comes, and as it leaves a hint open until the service has
settled, the broker's own retries make it look again for what no change of a service tells.
"""

from typing import Any

from functions_framework.aio import http
from starlette.requests import Request

from maxcloud import system
from maxcloud.calls import Call
from maxcloud.errors import PermanentError, TemporaryError
from maxcloud.events import CLUSTER_CHANGES, Event, ObjectReference, Type, read_data
from maxcloud.hints import ServiceHint
from maxcloud.http import Api
from maxcloud.models import ServiceStatus
from maxcloud.observing import functions, services
from maxcloud.store import convergence as rows

api = Api("status")


@http
async def status(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.events("/")
async def on_change(call: Call, event: Event) -> None:
    """Follow a change of a Knative Service to its row."""
    if not event.type.startswith(CLUSTER_CHANGES):
        raise PermanentError(f"no handler for {event.type}")
    changed = read_data(event, ObjectReference)
    if changed.namespace == system.NAMESPACE:
        await functions.look(call, changed.name)
        return
    row = await rows.named_across_tenants(call.db, changed.name)
    if row is None or call.config.namespace_of(row.org_id) != changed.namespace:
        return
    is_there = await services.look(call, row)
    if event.type.endswith(".delete") and not is_there and row.status != ServiceStatus.DELETING:
        # Behind our back: the tenant still wants it.
        await rows.lost(call.db, row, "it was deleted")
        call.hint(Type.DEPLOY_REQUESTED, row.hint())


@api.events("/hints")
async def on_hint(call: Call, event: Event) -> None:
    """Look at a service that is about to change, again and again until it has settled."""
    if event.type not in {Type.DEPLOY_REQUESTED, Type.DELETE_REQUESTED}:
        raise PermanentError(f"no handler for {event.type}")
    hint = read_data(event, ServiceHint)
    if hint.org_id == system.ORG_ID:
        if await functions.look(call, hint.name or "") == ServiceStatus.PENDING:
            raise TemporaryError("not settled yet")
        return
    row = await rows.load(call.db, hint.org_id, hint.id)
    if row is None or (hint.generation and hint.generation < row.generation):
        return
    await services.look(call, row)
    after = await rows.load(call.db, hint.org_id, hint.id)
    if after is not None and not after.is_settled:
        raise TemporaryError("not settled yet")

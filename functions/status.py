"""Status: write down in the rows what the cluster has become.

It hears of changes from Knative's ApiServerSource. The hints that wake `reconcile` wake it too: so
it is awake when the first change comes, and a hint that the sweep repeats makes up for a change
that the source missed.
"""

from typing import Any

from functions_framework.aio import http
from starlette.requests import Request

from maxcloud.errors import PermanentError
from maxcloud.events import CLUSTER_CHANGES, Event, ObjectReference, Type, read_data
from maxcloud.http import Api, Call
from maxcloud.knative import cluster, manifests
from maxcloud.knative import status as knative
from maxcloud.models import ServiceHint, ServiceStatus
from maxcloud.store import convergence as rows
from maxcloud.store.services import ServiceRow

api = Api("status")


@http
async def status(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.events("/")
async def on_event(call: Call, event: Event) -> None:
    """Take a change of the cluster, or a hint about one service."""
    if event.type.startswith(CLUSTER_CHANGES):
        await on_change(call, event)
    elif event.type in {Type.DEPLOY_REQUESTED, Type.DELETE_REQUESTED}:
        hint = read_data(event, ServiceHint)
        row = await rows.load(call.db, hint.org_id, hint.id)
        if row is not None:
            await look(call, row)
    else:
        raise PermanentError(f"no handler for {event.type}")


async def on_change(call: Call, event: Event) -> None:
    """Follow a change of a Knative Service to its row."""
    changed = read_data(event, ObjectReference)
    row = await rows.named_across_tenants(call.db, changed.name)
    if row is None or call.config.namespace_of(row.org_id) != changed.namespace:
        return
    await look(call, row)
    if event.type.endswith(".delete") and row.status != ServiceStatus.DELETING:
        # Somebody deleted it behind our back: the tenant still wants it.
        call.hint(Type.DEPLOY_REQUESTED, row.hint())


async def look(call: Call, row: ServiceRow) -> None:
    """Compare a row with its object in the cluster and keep what is new."""
    namespace = call.config.namespace_of(row.org_id)
    live = await cluster.get_service(namespace, row.name)
    if live is None or not manifests.is_of(live, row.id):
        if row.status == ServiceStatus.DELETING and await rows.remove(call.db, row):
            call.hint(Type.SERVICE_DELETED, row.hint())
        return
    newest = knative.newest_revision(live) if knative.is_failing(live) else None
    revision = await cluster.get_revision(namespace, newest) if newest else None
    await keep(call, row, knative.observe(live, revision))


async def keep(call: Call, row: ServiceRow, seen: knative.Observed) -> None:
    """Write what was seen, and tell the world when a generation has come to its end."""
    if seen.generation != row.generation:
        await rows.serving_observed(call.db, row, seen.ready_revision, seen.version)
        return
    if seen.status == ServiceStatus.PENDING and row.is_settled:
        return  # a route that is written anew does not make a ready service pending
    kept = await rows.observed(
        call.db,
        row,
        status=seen.status,
        reason=seen.reason,
        message=seen.message,
        ready_revision=seen.ready_revision,
        cluster_version=seen.version,
    )
    if kept is None or (kept.status, kept.is_settled) == (row.status, row.is_settled):
        return
    if kept.status == ServiceStatus.READY:
        call.hint(Type.SERVICE_READY, kept.hint())
    elif kept.status == ServiceStatus.FAILED:
        call.hint(Type.SERVICE_FAILED, kept.hint(reason=kept.reason))

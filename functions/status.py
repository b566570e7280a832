"""Status: write down in the rows what the cluster has become.

It hears of changes from Knative's ApiServerSource. The hints that wake `reconcile` wake it too: so
it is awake when the first change comes, and as it leaves a hint open until the service has
settled, the broker's own retries make it look again for what no change of a service tells.
"""

from datetime import UTC, datetime
from typing import Any

from functions_framework.aio import http
from starlette.requests import Request

from maxcloud import system
from maxcloud.errors import PermanentError, TemporaryError
from maxcloud.events import CLUSTER_CHANGES, Event, ObjectReference, Type, read_data
from maxcloud.http import Api, Call
from maxcloud.knative import cluster, functions, manifests
from maxcloud.knative import status as knative
from maxcloud.models import ServiceHint, ServiceStatus
from maxcloud.store import convergence as rows
from maxcloud.store import functions as own
from maxcloud.store import revisions
from maxcloud.store.services import ServiceRow

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
        await look_at_function(call, changed.name)
        return
    row = await rows.named_across_tenants(call.db, changed.name)
    if row is None or call.config.namespace_of(row.org_id) != changed.namespace:
        return
    is_there = await look(call, row)
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
        if await look_at_function(call, hint.name or "") == ServiceStatus.PENDING:
            raise TemporaryError("not settled yet")
        return
    row = await rows.load(call.db, hint.org_id, hint.id)
    if row is None or (hint.generation and hint.generation < row.generation):
        return
    await look(call, row)
    after = await rows.load(call.db, hint.org_id, hint.id)
    if after is not None and not after.is_settled:
        raise TemporaryError("not settled yet")


async def look_at_function(call: Call, name: str) -> str | None:
    """Keep what one of the platform's own functions has become; return its status, if it has one.

    Its row follows whatever an operator does.
    """
    if not system.is_function(name):
        return None
    live = await cluster.get_service(system.NAMESPACE, name)
    if live is None or not manifests.is_function(live):
        await own.forget(call.db, name)
        return None
    revisions = {
        each: await cluster.get_revision(system.NAMESPACE, each)
        for each in functions.revisions_of(live)
    }
    newest = knative.newest_revision(live)
    if newest is None or revisions[newest] is None:
        return None  # Knative has not looked at it yet
    is_ready = knative.is_ready(live)
    pods = [] if is_ready else await cluster.pods_of_revision(system.NAMESPACE, newest)
    observed = knative.observe(live, revisions[newest], pods, datetime.now(UTC))
    seen = functions.function(live, [each for each in revisions.values() if each], observed)
    await own.keep(call.db, seen)
    return seen.status


async def look(call: Call, row: ServiceRow) -> bool:
    """Compare a row with its object in the cluster, keep what is new, and tell if it is there."""
    namespace = call.config.namespace_of(row.org_id)
    live = await cluster.get_service(namespace, row.name)
    if live is None or not manifests.is_of(live, row.id):
        if row.status == ServiceStatus.DELETING and await rows.remove(call.db, row):
            call.hint(Type.SERVICE_DELETED, row.hint())
        return False
    if manifests.is_going(live):
        await rows.lost(call.db, row, manifests.GOING)
        return True
    if manifests.is_restoring(live):
        return True
    newest, now = knative.newest_revision(live), datetime.now(UTC)
    if newest is None or row.only_routes or knative.is_ready(live):
        await keep(call, row, knative.observe(live, None, [], now, only_routes=row.only_routes))
        return True
    revision = await cluster.get_revision(namespace, newest)
    pods = await cluster.pods_of_revision(namespace, newest)
    await keep(call, row, knative.observe(live, revision, pods, now))
    return True


async def keep(call: Call, row: ServiceRow, seen: knative.Observed) -> None:
    """Write what was seen, and tell the world when a generation has come to its end."""
    if seen.ready_revision and seen.ready_revision != row.ready_revision:
        await revisions.became_ready(call.db, row, seen.ready_revision)
    if seen.generation != row.generation:
        await rows.serving_observed(call.db, row, seen.ready_revision, seen.version)
        return
    if seen.reason == knative.RESTORING:
        await rows.lost(call.db, row, seen.message)  # the sweep says the rest
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
        version=seen.version,
    )
    if kept is None or (kept.status, kept.is_settled) == (row.status, row.is_settled):
        return
    if kept.status == ServiceStatus.READY:
        call.hint(Type.SERVICE_READY, kept.hint())
    elif kept.status == ServiceStatus.FAILED:
        call.hint(Type.SERVICE_FAILED, kept.hint(reason=kept.reason))

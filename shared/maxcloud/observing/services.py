"""One service, as the cluster has it now, written into its row."""

from datetime import UTC, datetime

from maxcloud.calls import Call
from maxcloud.events import Type
from maxcloud.knative import cluster, objects
from maxcloud.knative import status as knative
from maxcloud.models import ServiceStatus
from maxcloud.store import convergence as rows
from maxcloud.store import revisions
from maxcloud.store.services import ServiceRow


async def look(call: Call, row: ServiceRow) -> bool:
    """Compare a row with its object in the cluster, keep what is new, and tell if it is there."""
    namespace = call.config.namespace_of(row.org_id)
    live = await cluster.get_service(namespace, row.name)
    if live is None or not objects.is_of(live, row.id):
        if row.status == ServiceStatus.DELETING and await rows.remove(call.db, row):
            call.hint(Type.SERVICE_DELETED, row.hint())
        return False
    if objects.is_going(live):
        await rows.lost(call.db, row, objects.GOING)
        return True
    if objects.is_restoring(live):
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

"""The sweep: what is still open is hinted at again, and the world compared with the rows."""

import contextlib
import logging
from uuid import UUID

from maxcloud import catalogue, events, system
from maxcloud.belongings import belongings
from maxcloud.calls import Call
from maxcloud.errors import PermanentError, TemporaryError
from maxcloud.events import Type
from maxcloud.hints import Hint, ServiceHint
from maxcloud.knative import cluster, isolation, objects
from maxcloud.models import ServiceStatus
from maxcloud.reconciling.organisations import isolate
from maxcloud.reconciling.services import converge
from maxcloud.store import convergence as rows
from maxcloud.store import functions, idempotency, limits, organisations, sweeps

# How many rows one sweep hints at; the next one goes on.
SWEEP_ROWS = 100
# How many expired Idempotency-Keys one sweep deletes: 16 a second come and go.
SWEEP_KEYS = 10_000

_log = logging.getLogger(__name__)


async def sweep(call: Call) -> None:
    """Look after everything once."""
    await idempotency.forget_expired_across_tenants(call.db, SWEEP_KEYS)
    await repeat_hints(call)
    await compare_with_cluster(call)
    await compare_namespaces(call)
    await limits.forget(call.db)
    await compare_with_registry(call)
    await sweeps.ended(call.db)


async def repeat_hints(call: Call) -> None:
    """Say again what rows have been waiting for too long.

    Raises TemporaryError when the broker goes away meanwhile: the sweep that is delivered again
    begins where this one ended.
    """
    waiting = await rows.claim_unconverged_across_tenants(call.db, SWEEP_ROWS)
    for said, row in enumerate(waiting):
        try:
            await announce(call, row.hint(), going=row.status == ServiceStatus.DELETING)
        except TemporaryError:
            await rows.give_back_across_tenants(call.db, waiting[said:])
            raise


async def compare_with_cluster(call: Call) -> None:
    """Find what the cluster lost, what was changed by hand, and what nobody owns any more."""
    expected = await rows.everything_across_tenants(call.db)
    strays: dict[UUID, objects.Manifest] = {}
    settled = {row.id: row for row in expected if row.is_settled and row.cluster_generation}
    known = {row.id for row in expected}
    own = {row.id: row for row in expected if row.org_id == system.ORG_ID}
    async for live in cluster.managed_services():
        service_id = objects.service_id(live)
        if objects.is_function(live):
            await compare_function(call, live, own.pop(service_id, None))
            continue
        row = settled.pop(service_id, None)
        if row is not None and row.cluster_generation != live["metadata"]["generation"]:
            await announce(call, row.hint())
        elif service_id not in known:
            strays[service_id] = live
    for lost in (*settled.values(), *own.values()):
        await announce(call, lost.hint())
    for service_id in await rows.tombstones_across_tenants(call.db, list(strays)):
        await cluster.delete_service(strays.pop(service_id))
    for stray in strays.values():
        fields = {key: stray["metadata"][key] for key in ("namespace", "name")}
        _log.warning("left alone: an object of ours without a row", extra={"fields": fields})


async def compare_function(call: Call, live: objects.Manifest, row: rows.Expected | None) -> None:
    """Let `status` look at one of the platform's own functions again whose row is not as it is."""
    version = int(live["metadata"]["resourceVersion"])
    if row is None:
        await announce(call, functions.hint(live["metadata"]["name"]))
    elif not row.is_settled or row.cluster_version != version:
        await announce(call, row.hint())


async def compare_namespaces(call: Call) -> None:
    """Find the organisations whose namespace, or what bounds them in it, is not as it should be."""
    live = {isolation.key_of(each): each async for each in cluster.isolating_objects()}
    for org_id in await organisations.all_across_tenants(call.db):
        if isolation.is_whole(belongings(call.config, org_id), live):
            continue
        event = events.about(Type.ORG_CREATED, call.function, Hint(id=org_id, org_id=org_id))
        if not await events.publish(call.config.sink, event):
            with contextlib.suppress(TemporaryError, PermanentError):
                await isolate(call, org_id)


async def compare_with_registry(call: Call) -> None:
    """Find what was pushed or deleted and no notification said."""
    if not call.config.registry_secrets:
        return
    try:
        for row in await catalogue.sweep(call.config, call.db):
            call.hint(Type.IMAGE_PUSHED, row.hint())
    except TemporaryError as error:  # the next sweep looks again
        _log.warning("images are not compared: %s", error)


async def announce(call: Call, hint: ServiceHint, *, going: bool = False) -> None:
    """Publish a hint; without a broker, follow it here and now.

    Raises TemporaryError when the broker is away: the sweep is delivered again, or the next comes.
    """
    if call.config.sink is None:
        with contextlib.suppress(TemporaryError):  # one service's trouble is not the others'
            await converge(call, hint)
        return
    type = Type.DELETE_REQUESTED if going else Type.DEPLOY_REQUESTED
    if not await events.publish(call.config.sink, events.about(type, call.function, hint)):
        raise TemporaryError("the broker is away")

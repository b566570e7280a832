"""Reconcile: bring the cluster to what the rows say.

A handler loads the row that its event names, decides, applies, and writes back guarded by the
generation it loaded. So lost, doubled, reordered and interleaved events do no harm.
"""

import contextlib
import json
import logging
import re
from typing import Any
from uuid import UUID

from functions_framework.aio import http
from starlette.requests import Request

from maxcloud import catalogue, events, oci, traffic
from maxcloud.belongings import belongings, pull_secret
from maxcloud.errors import MaxCloudError, PermanentError, TemporaryError
from maxcloud.events import PING, Event, Type, read_data
from maxcloud.http import Api, Call
from maxcloud.knative import cluster, isolation, manifests
from maxcloud.models import Hint, ServiceHint, ServiceStatus
from maxcloud.references import Reference
from maxcloud.store import convergence as rows
from maxcloud.store import dead_letters, idempotency, limits, organisations, revisions
from maxcloud.store.revisions import RevisionRow
from maxcloud.store.services import ServiceRow

# How many rows one sweep hints at; the next one goes on.
SWEEP_ROWS = 100
# How many expired Idempotency-Keys one sweep deletes: 16 a second come and go.
SWEEP_KEYS = 10_000

_log = logging.getLogger(__name__)


class NamespaceFailed(MaxCloudError):
    """An organisation's namespace cannot be made; the message is the cluster's own."""


api = Api("reconcile")


@http
async def reconcile(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.events("/")
async def on_event(call: Call, event: Event) -> None:
    """Take a hint about one service, or the timer's about all of them."""
    if event.type == PING:
        await idempotency.forget_expired_across_tenants(call.db, SWEEP_KEYS)
        await repeat_hints(call)
        await compare_with_cluster(call)
        await compare_namespaces(call)
        await limits.forget(call.db)
        await compare_with_registry(call)
    elif event.type == Type.ORG_CREATED:
        await isolate(call, read_data(event, Hint).org_id)
    elif event.type in {Type.DEPLOY_REQUESTED, Type.DELETE_REQUESTED}:
        await converge(call, read_data(event, ServiceHint))
    else:
        raise PermanentError(f"no handler for {event.type}")


@api.events("/dead-letters")
async def on_dead_letter(call: Call, event: Event) -> None:
    """Keep an event that its handler would not take."""
    said = event.extensions
    code = said.get("knativeerrorcode", "")
    letter = dead_letters.DeadLetter(
        event_id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        destination=said.get("knativeerrordest", ""),
        code=int(code) if re.fullmatch("[1-5][0-9]{2}", code) else None,
        headers=said,
        body=json.dumps(event.data, default=str),
    )
    await dead_letters.keep(call.db, letter)


async def converge(call: Call, hint: ServiceHint) -> None:
    """Make the cluster have what the row of one service says, whatever the hint said."""
    row = await rows.load(call.db, hint.org_id, hint.id)
    if row is None:
        await bury(call, hint)
    elif row.status == ServiceStatus.DELETING:
        await let_go(call, row)
    else:
        await apply(call, row)


async def apply(call: Call, row: ServiceRow) -> None:
    """Write the row's generation to the cluster, unless a newer one is there or it is there."""
    revision = await revision_of(call, row)
    if revision is None or await rows.revision_chosen(call.db, row, revision.name) is None:
        return
    wanted = manifests.Wanted(
        id=row.id,
        org_id=row.org_id,
        name=row.name,
        namespace=call.config.namespace_of(row.org_id),
        # What was given up is not what the cluster has: an older write is.
        generation=row.generation - 1 if row.is_given_up else row.generation,
        revision=revision.name,
        template=revision.runs,
        traffic=tuple(row.shares),
        registry=call.config.registry_url,
        pull_secret=isolation.PULL_SECRET if call.config.registry_secrets else "",
    )
    try:
        written = await bring(call, row, wanted)
    except (NamespaceFailed, cluster.Refused) as error:
        await give_up(call, row, type(error).__name__, str(error))
        return
    except cluster.Away:
        await rows.delayed(call.db, row, "the cluster cannot be reached; trying again")
        raise
    if written is None:
        return
    generation, made_at = written["metadata"]["generation"], manifests.made_at(written)
    if await rows.applied(call.db, row, generation, made_at) is None:
        # A newer generation, or the end, came in between: look again, so that nothing stays behind.
        raise TemporaryError("the service changed meanwhile")


async def bring(call: Call, row: ServiceRow, wanted: manifests.Wanted) -> manifests.Manifest | None:
    """Bring an object to what is wanted and return it; None when that is not for us to do."""
    live = await cluster.get_service(wanted.namespace, row.name)
    if live is None:
        await have(belongings(call.config, row.org_id))
    elif Reference.parse(wanted.template.image).host == wanted.registry:
        await have(pull_secret(call.config, row.org_id))
    lost = await first_lost(call, row, wanted, live)
    try:
        if lost is None:
            return await write(live, manifests.service(wanted))
        await write(live, manifests.restoring(wanted, lost.name, lost.runs, live))
    except manifests.Superseded as newer:
        if not row.is_given_up and await rows.overtake(call.db, row, newer.generation):
            raise TemporaryError("the database is older than the cluster") from newer
        return None
    except manifests.Occupied as error:
        there = error.occupant
        if there and await bury(call, ServiceHint(id=there, org_id=row.org_id)):
            raise TemporaryError("what had the name before goes first") from error
        await give_up(call, row, type(error).__name__, str(error))
        return None
    raise TemporaryError(f"{lost.name} is made anew first")


async def isolate(call: Call, org_id: UUID) -> None:
    """Give an organisation its namespace and what bounds it there, or mend that.

    Raises PermanentError when that cannot be; its services then fail with the same reason.
    """
    if await organisations.exists(call.db, org_id):
        try:
            await have(belongings(call.config, org_id))
        except NamespaceFailed as error:
            raise PermanentError(f"namespace of {org_id}: {error}") from error


async def have(objects: list[manifests.Manifest]) -> None:
    """Make objects as they should be; raises NamespaceFailed when one cannot be."""
    try:
        for wanted in objects:
            await cluster.isolate(wanted)
    except (manifests.Occupied, cluster.Refused) as error:
        raise NamespaceFailed(str(error)) from error


async def revision_of(call: Call, row: ServiceRow) -> RevisionRow | None:
    """Return the revision that the row's generation runs; None when there is nothing to run."""
    if row.image_refused:
        return await revisions.newest(call.db, row)
    resolved = row if row.digest else await resolve_image(call, row)
    if resolved is None or resolved.digest is None:
        return None
    template = resolved.template(Reference.parse(row.image).pinned(resolved.digest))
    chosen = await revisions.choose(call.db, resolved, template)
    if chosen is not None:
        await catalogue.try_to_keep(call.config, call.db, chosen)
    return chosen


async def first_lost(
    call: Call, row: ServiceRow, wanted: manifests.Wanted, live: manifests.Manifest | None
) -> RevisionRow | None:
    """Return the oldest revision that the traffic needs and the cluster has no more."""
    needed = traffic.needed(row.shares, row.ready_revision) - {wanted.revision}
    if not needed:
        return None
    for revision in await revisions.named(call.db, row, needed):
        there = live and await cluster.get_revision(wanted.namespace, revision.name)
        if live is None or there is None or not manifests.is_revision_of(there, live):
            return revision
    return None


async def write(live: manifests.Manifest | None, wanted: manifests.Manifest) -> manifests.Manifest:
    """Bring an object to what is wanted, by as few writes as can be, and return it."""
    if live is None:
        return await cluster.create_service(wanted)
    changed = manifests.replacement(live, wanted)
    return live if changed is None else await cluster.replace_service(changed)


async def resolve_image(call: Call, row: ServiceRow) -> ServiceRow | None:
    """Ask the registry what the image is now; None when that settles the matter."""
    try:
        image = await catalogue.resolve(call.config, row.org_id, row.image)
    except oci.ImageRefused as error:
        await give_up(call, row, error.reason, str(error), image_refused=True)
        return None
    except TemporaryError as error:
        await rows.delayed(call.db, row, f"{error}; trying again")
        raise
    return await rows.image_resolved(call.db, row, image.digest, image.exposed_port)


async def give_up(
    call: Call, row: ServiceRow, reason: str, message: str, *, image_refused: bool = False
) -> None:
    """End this generation as failed; an older revision goes on serving."""
    if await rows.failed(call.db, row, reason, message, image_refused=image_refused):
        call.hint(Type.SERVICE_FAILED, row.hint(reason=reason))


async def let_go(call: Call, row: ServiceRow) -> None:
    """Delete a service from the cluster; `status` sees it gone and removes the row."""
    live = await cluster.get_service(call.config.namespace_of(row.org_id), row.name)
    if live is not None and manifests.is_of(live, row.id):
        await cluster.delete_service(live)
    elif await rows.remove(call.db, row):
        call.hint(Type.SERVICE_DELETED, row.hint())


async def bury(call: Call, hint: ServiceHint) -> bool:
    """Delete what a late handler made of a service whose row is gone, and tell whether it was so.

    Only a tombstone allows it: an empty or restored database must never delete tenants.
    """
    name = await rows.name_on_tombstone(call.db, hint.org_id, hint.id)
    if name is None:
        return False
    live = await cluster.get_service(call.config.namespace_of(hint.org_id), name)
    if live is not None and manifests.is_of(live, hint.id):
        await cluster.delete_service(live)
    return True


async def repeat_hints(call: Call) -> None:
    """Say again what rows have been waiting for too long."""
    for row in await rows.claim_unconverged_across_tenants(call.db, SWEEP_ROWS):
        await announce(call, row.hint(), going=row.status == ServiceStatus.DELETING)


async def compare_with_cluster(call: Call) -> None:
    """Find what the cluster lost, what was changed by hand, and what nobody owns any more."""
    expected = await rows.everything_across_tenants(call.db)
    strays: dict[UUID, manifests.Manifest] = {}
    settled = {row.id: row for row in expected if row.is_settled and row.cluster_generation}
    known = {row.id for row in expected}
    async for live in cluster.managed_services():
        service_id = manifests.service_id(live)
        row = settled.pop(service_id, None)
        if row is not None and row.cluster_generation != live["metadata"]["generation"]:
            await announce(call, row.hint())
        elif service_id not in known:
            strays[service_id] = live
    for lost in settled.values():
        await announce(call, lost.hint())
    for service_id in await rows.tombstones_across_tenants(call.db, list(strays)):
        await cluster.delete_service(strays.pop(service_id))
    for stray in strays.values():
        fields = {key: stray["metadata"][key] for key in ("namespace", "name")}
        _log.warning("left alone: an object of ours without a row", extra={"fields": fields})


async def compare_namespaces(call: Call) -> None:
    """Find the organisations whose namespace, or what bounds them in it, is not as it should be."""
    live = {isolation.key_of(each): each async for each in cluster.isolating_objects()}
    for org_id in await organisations.all_across_tenants(call.db):
        if isolation.is_whole(belongings(call.config, org_id), live):
            continue
        event = events.about(Type.ORG_CREATED, api.function, Hint(id=org_id, org_id=org_id))
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
    if not await events.publish(call.config.sink, events.about(type, api.function, hint)):
        raise TemporaryError("the broker is away")

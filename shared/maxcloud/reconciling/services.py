"""One service, brought to the cluster as its row says.

Each step writes back guarded by the generation that was loaded. So lost, doubled, reordered and
interleaved events do no harm.
"""

from maxcloud import catalogue, oci, system, traffic
from maxcloud.belongings import belongings, pull_secret
from maxcloud.calls import Call
from maxcloud.errors import TemporaryError
from maxcloud.events import Type
from maxcloud.hints import ServiceHint
from maxcloud.knative import cluster, isolation, manifests, objects
from maxcloud.models import ServiceStatus
from maxcloud.reconciling.endings import bury, let_go
from maxcloud.reconciling.organisations import NamespaceFailed, have
from maxcloud.references import Reference
from maxcloud.store import convergence as rows
from maxcloud.store import revisions
from maxcloud.store.revisions import RevisionRow
from maxcloud.store.services import ServiceRow


async def converge(call: Call, hint: ServiceHint) -> None:
    """Make the cluster have what the row of one service says, whatever the hint said.

    Of the platform's own functions the rows follow the cluster, never the other way.
    """
    if hint.org_id == system.ORG_ID:
        return
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
    except cluster.Away as error:
        await rows.delayed(call.db, row, f"{error.in_words}; trying again")
        raise
    if written is None:
        return
    generation, made_at = written["metadata"]["generation"], objects.made_at(written)
    if await rows.applied(call.db, row, generation, made_at) is None:
        # A newer generation, or the end, came in between: look again, so that nothing stays behind.
        raise TemporaryError("the service changed meanwhile")


async def bring(call: Call, row: ServiceRow, wanted: manifests.Wanted) -> objects.Manifest | None:
    """Bring an object to what is wanted and return it; None when that is not for us to do."""
    live = await cluster.get_service(wanted.namespace, row.name)
    if live is None:
        await have(belongings(call.config, row.org_id))
    elif objects.is_going(live):  # what is written to it now goes with it
        await rows.delayed(call.db, row, objects.GOING)
        raise TemporaryError(objects.GOING)
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


async def first_lost(
    call: Call, row: ServiceRow, wanted: manifests.Wanted, live: objects.Manifest | None
) -> RevisionRow | None:
    """Return the oldest revision that the traffic needs and the cluster has no more."""
    needed = traffic.needed(row.shares, row.ready_revision) - {wanted.revision}
    if not needed:
        return None
    for revision in await revisions.named(call.db, row, needed):
        there = live and await cluster.get_revision(wanted.namespace, revision.name)
        if live is None or there is None or not objects.is_revision_of(there, live):
            return revision
    return None


async def write(live: objects.Manifest | None, wanted: objects.Manifest) -> objects.Manifest:
    """Bring an object to what is wanted, by as few writes as can be, and return it."""
    if live is None:
        return await cluster.create_service(wanted)
    changed = manifests.replacement(live, wanted)
    return live if changed is None else await cluster.replace_service(changed)


async def give_up(
    call: Call, row: ServiceRow, reason: str, message: str, *, image_refused: bool = False
) -> None:
    """End this generation as failed; an older revision goes on serving."""
    if await rows.failed(call.db, row, reason, message, image_refused=image_refused):
        call.hint(Type.SERVICE_FAILED, row.hint(reason=reason))

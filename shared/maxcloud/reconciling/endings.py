"""The end of a service in the cluster: by its row, or by the tombstone of one that has none."""

from maxcloud.calls import Call
from maxcloud.events import Type
from maxcloud.hints import ServiceHint
from maxcloud.knative import cluster, objects
from maxcloud.store import convergence as rows
from maxcloud.store.services import ServiceRow


async def let_go(call: Call, row: ServiceRow) -> None:
    """Delete a service from the cluster; `status` sees it gone and removes the row."""
    live = await cluster.get_service(call.config.namespace_of(row.org_id), row.name)
    if live is not None and objects.is_of(live, row.id):
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
    if live is not None and objects.is_of(live, hint.id):
        await cluster.delete_service(live)
    return True

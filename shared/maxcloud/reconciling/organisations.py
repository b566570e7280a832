"""An organisation's namespace and what bounds it there, brought to the cluster."""

from uuid import UUID

from maxcloud.belongings import belongings
from maxcloud.calls import Call
from maxcloud.errors import MaxCloudError, PermanentError
from maxcloud.knative import cluster, manifests
from maxcloud.knative.objects import Manifest
from maxcloud.store import organisations


class NamespaceFailed(MaxCloudError):
    """An organisation's namespace cannot be made; the message is the cluster's own."""


async def isolate(call: Call, org_id: UUID) -> None:
    """Give an organisation its namespace and what bounds it there, or mend that.

    Raises PermanentError when that cannot be; its services then fail with the same reason.
    """
    if await organisations.exists(call.db, org_id):
        try:
            await have(belongings(call.config, org_id))
        except NamespaceFailed as error:
            raise PermanentError(f"namespace of {org_id}: {error}") from error


async def have(objects: list[Manifest]) -> None:
    """Make objects as they should be; raises NamespaceFailed when one cannot be."""
    try:
        for wanted in objects:
            await cluster.isolate(wanted)
    except (manifests.Occupied, cluster.Refused) as error:
        raise NamespaceFailed(str(error)) from error

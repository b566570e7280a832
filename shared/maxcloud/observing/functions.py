"""One of the platform's own functions, as the cluster has it now, written into its row."""

from datetime import UTC, datetime

from maxcloud import system
from maxcloud.calls import Call
from maxcloud.knative import cluster, functions, objects
from maxcloud.knative import status as knative
from maxcloud.store import functions as rows


async def look(call: Call, name: str) -> str | None:
    """Keep what one of the platform's own functions has become; return its status, if it has one.

    Its row follows whatever an operator does.
    """
    if not system.is_function(name):
        return None
    live = await cluster.get_service(system.NAMESPACE, name)
    if live is None or not objects.is_function(live):
        await rows.forget(call.db, name)
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
    await rows.keep(call.db, seen)
    return seen.status

"""Taking a function of the platform back, when the API itself may be what is broken."""

from collections.abc import Callable

from maxcloud_cli.platform import parts
from maxcloud_cli.platform.cluster import Cluster
from maxcloud_cli.platform.errors import NothingToServe, NotInstalled
from maxcloud_cli.platform.parts import KSVC, REVISION, SYSTEM, Object
from maxcloud_cli.platform.steps import wait

WAIT_SECONDS = 120


def rollback(
    cluster: Cluster, function: str, to: str | None, waiting: Callable[[str], None]
) -> tuple[str, str]:
    """Send all of a function's requests to an older revision; return what served and what serves.

    `waiting` is called with what is waited for as long as it is. Raises NotInstalled,
    NothingToServe, and JobFailed when the routes do not follow.
    """
    ksvc = cluster.get(*KSVC, function, SYSTEM)
    if ksvc is None:
        known = ", ".join(each["metadata"]["name"] for each in cluster.list(*KSVC, SYSTEM))
        raise NotInstalled(f"there is no function {function}; there are: {known or 'none'}")
    now = parts.serving(ksvc)
    target = _target(cluster, function, ksvc, to)
    # A merge patch replaces the list, so a split that was made by hand ends too.
    traffic = [{"revisionName": target, "latestRevision": False, "percent": 100}]
    patched = cluster.merge(*KSVC, function, SYSTEM, {"spec": {"traffic": traffic}})
    if patched is None:
        raise NotInstalled(f"the function {function} is gone")
    _wait(cluster, function, target, patched["metadata"]["generation"], waiting)
    return now, target


def _target(cluster: Cluster, function: str, ksvc: Object, to: str | None) -> str:
    selector = f"serving.knative.dev/service={function}"
    revisions = cluster.list(*REVISION, SYSTEM, selector)
    if to is None:
        before = parts.one_before(ksvc, revisions)
        if before is None:
            raise NothingToServe(f"{function} has no older revision that was ever ready")
        return before
    if to not in {each["metadata"]["name"] for each in revisions}:
        raise NothingToServe(f"{function} has no revision {to}")
    return to


def _wait(
    cluster: Cluster, function: str, target: str, generation: int, waiting: Callable[[str], None]
) -> None:
    def still() -> str:
        ksvc = cluster.get(*KSVC, function, SYSTEM) or {}
        seen = ksvc.get("status", {}).get("observedGeneration", 0) >= generation
        # The newest may go on failing: what counts is where the requests go.
        arrived = parts.serving(ksvc) == target and parts.condition(ksvc, "RoutesReady")[0]
        return "" if seen and arrived else f"the requests of {function} to reach {target}"

    wait(still, waiting, WAIT_SECONDS)

"""Putting a platform into a cluster, or bringing it to another version."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from maxcloud_cli.platform import adopting, jobs, parts, plan, secrets, upness
from maxcloud_cli.platform.cluster import Cluster
from maxcloud_cli.platform.errors import JobFailed
from maxcloud_cli.platform.parts import SYSTEM, Object, is_one_of
from maxcloud_cli.platform.steps import Change, Show, wait

NAMESPACE = ("v1", "Namespace")

# How long something may say of itself that it failed until nobody waits for it any more. An image
# that is pulled again or a database that comes back mends it sooner.
PATIENCE_SECONDS = 60

# They hold what tenants are, so no installation takes them away.
KEPT = ("apps/StatefulSet", "/PersistentVolumeClaim", "/Secret")


def prepared(
    cluster: Cluster, objects: Sequence[Object], said: Mapping[str, Mapping[str, str]]
) -> list[Object]:
    """Return all that is to be in this cluster: the marked objects, and the Secrets.

    A Secret that is there stays as it is, unless a person `said` another content.
    """
    makes_namespace = made_namespace(cluster) or cluster.get(*NAMESPACE, SYSTEM) is None
    contents = {
        name: make()
        for name, make in secrets.MADE_ONCE.items()
        if cluster.get("v1", "Secret", name, SYSTEM) is None
    }
    marked = plan.marked(objects, makes_namespace=makes_namespace)
    return [*marked, *(secrets.secret(*each) for each in {**contents, **said}.items())]


def made_namespace(cluster: Cluster) -> bool:
    """Tell whether the platform's namespace is one that an installation has made."""
    namespace = cluster.get(*NAMESPACE, SYSTEM) or {"metadata": {}}
    return bool(namespace["metadata"].get("labels", {}).get(plan.LABEL) == plan.OURS)


def changes(cluster: Cluster, wanted: Sequence[Object]) -> list[Change]:
    """Return what applying the objects would do, by the API server's own dry run."""
    has_namespace = cluster.get(*NAMESPACE, SYSTEM) is not None
    found = [
        Change(_what(cluster, each, has_namespace), each["kind"], each["metadata"]["name"])
        for phase in plan.phases(wanted)
        for each in phase.objects
    ]
    gone = _no_longer(cluster, wanted)
    return found + [Change("delete", each["kind"], each["metadata"]["name"]) for each in gone]


def install(cluster: Cluster, wanted: Sequence[Object], show: Show) -> None:
    """Apply everything in its order and wait until it is well; raises JobFailed where it is not.

    What is as it should be is left alone, so a second time changes nothing. In the end the
    functions are services of the platform's own organisation.
    """
    for phase in plan.phases(wanted):
        for each in phase.objects:
            if is_one_of(each, [plan.JOB]):
                _run(cluster, each, show)
            else:
                cluster.apply(each)
        _follow(cluster, phase, show)
        show.reached(phase.title)
    for each in _no_longer(cluster, wanted):
        metadata = each["metadata"]
        place = (each["apiVersion"], each["kind"], metadata["name"], metadata.get("namespace", ""))
        cluster.delete(*place)
    show.reached(adopting.adopt(cluster, wanted))


def _what(cluster: Cluster, wanted: Object, has_namespace: bool) -> str:
    if wanted["metadata"].get("namespace") == SYSTEM and not has_namespace:
        return "create"
    live = _live(cluster, wanted)
    if live is None:
        return "create"
    if is_one_of(wanted, [plan.JOB]):
        return "same" if upness.is_the_same_job(live, wanted) else "create"
    return "same" if _seen(cluster.apply(wanted, dry_run=True)) == _seen(live) else "change"


def _live(cluster: Cluster, wanted: Object) -> Object | None:
    metadata = wanted["metadata"]
    place = (metadata["name"], metadata.get("namespace", ""))
    return cluster.get(wanted["apiVersion"], wanted["kind"], *place)


def _seen(thing: Object) -> Object:
    # Without what an API server writes by itself.
    metadata = dict(thing["metadata"])
    for name in ("managedFields", "resourceVersion", "generation"):
        metadata.pop(name, None)
    return {**thing, "metadata": metadata, "status": None}


def _no_longer(cluster: Cluster, wanted: Sequence[Object]) -> list[Object]:
    """Return what an installation before has made and this one does not have."""
    places = {_place(each) for each in wanted}
    return [
        each
        for each in cluster.labelled(f"{plan.LABEL}={plan.OURS}")
        if _place(each) not in places and not is_one_of(each, KEPT)
    ]


def _place(thing: Object) -> tuple[str, str, str, str]:
    # Without the version: an object may be served in another one than it was written in.
    group, metadata = thing["apiVersion"].rpartition("/")[0], thing["metadata"]
    return group, thing["kind"], metadata.get("namespace", ""), metadata["name"]


def _run(cluster: Cluster, wanted: Object, show: Show) -> None:
    """Run a job anew, unless the last one did the same; a job cannot be changed."""
    name = wanted["metadata"]["name"]
    live = cluster.get(*jobs.JOB, name, SYSTEM)
    if live is not None and upness.is_the_same_job(live, wanted):
        return
    if live is not None:
        cluster.delete(*jobs.JOB, name, SYSTEM)
        wait(lambda: "the old job" if cluster.get(*jobs.JOB, name, SYSTEM) else "", show.waiting)
    cluster.apply(wanted)


def _follow(cluster: Cluster, phase: plan.Phase, show: Show) -> None:
    """Wait until all of a phase is up; raises JobFailed when something is not and stays so."""
    failing_since: dict[str, float] = {}

    def still() -> str:
        waiting = []
        for each in phase.objects:
            state = _state(cluster, each)
            name = f"{each['kind']} {each['metadata']['name']}"
            if state.has_failed:
                since = failing_since.setdefault(name, time.monotonic())
                if state.is_final or time.monotonic() - since > PATIENCE_SECONDS:
                    raise JobFailed(f"{name} failed: {_why(cluster, each, state)}")
            else:
                failing_since.pop(name, None)
            if not state.is_up:
                waiting.append(name)
        return ", ".join(waiting)

    wait(still, show.waiting)


def _state(cluster: Cluster, wanted: Object) -> upness.State:
    live = _live(cluster, wanted)
    state = upness.of(live, wanted)
    if state.is_up or live is None or not is_one_of(wanted, [plan.FUNCTION]):
        return state
    newest = live.get("status", {}).get("latestCreatedRevisionName", "")
    pods = cluster.list("v1", "Pod", SYSTEM, f"serving.knative.dev/revision={newest}")
    if why_not := parts.trouble(pods):
        return replace(state, has_failed=True, why_not=why_not)
    return state


def _why(cluster: Cluster, thing: Object, state: upness.State) -> str:
    if is_one_of(thing, [plan.JOB]):
        lines = jobs.log(cluster, thing["metadata"]["name"]).strip().splitlines()
        return lines[-1] if lines else state.why_not
    return f"{state.why_not}; {state.serves} still serves" if state.serves else state.why_not

"""Taking a platform out of a cluster: what an installation has made, and nothing else."""

from collections.abc import Sequence
from functools import partial

from maxcloud_cli.platform import parts, plan
from maxcloud_cli.platform.cluster import MANAGER, Cluster
from maxcloud_cli.platform.installing import KEPT, NAMESPACE, made_namespace
from maxcloud_cli.platform.jobs import POD
from maxcloud_cli.platform.parts import KSVC, OF_TENANTS, SERVICE_OF, SYSTEM, Object, is_one_of
from maxcloud_cli.platform.steps import Change, Show, wait

_OURS = f"{plan.LABEL}={plan.OURS}"

# Who writes goes, and the right to, before what is written: what only vanishes would come back.
_ORDER = (
    ("events", ("eventing.knative.dev/Trigger", "sources.knative.dev/*", "eventing.knative.dev/*")),
    ("routes", ("networking.internal.knative.dev/Ingress",)),
    ("functions", (plan.FUNCTION, plan.JOB, plan.DEPLOYMENT)),
    ("rights", ("rbac.authorization.k8s.io/*", "admissionregistration.k8s.io/*")),
)

# Before the namespaces: one with an instance in it is looked at again only after half of the time
# that the instance may take to end, which is two and a half minutes.
_SERVICES = "services"


def uninstalling(cluster: Cluster, *, tenants: bool) -> list[Change]:
    """Return what an uninstallation would do, in its order, as it is in the cluster now."""
    deleted = [each for group in _groups(cluster, tenants=tenants) for each in group[1]]
    return [
        *(Change("delete", each["kind"], parts.placed(each)) for each in deleted),
        *(
            Change("give back", each["kind"], parts.placed(each))
            for each in _borrowed(cluster, tenants=tenants)
        ),
    ]


def uninstall(cluster: Cluster, show: Show, *, tenants: bool) -> None:
    """Take away what an installation has made, and with `tenants` all that is theirs.

    Without it the database, its volume and the Secrets stay, and with them the namespace: a later
    installation goes on from there. So do the settings of Knative that tenants' hosts are made of.
    """
    for title, things in _groups(cluster, tenants=tenants):
        for each in things:
            cluster.delete(each["apiVersion"], each["kind"], *_name(each))
        # Knative's finalizers still need what the groups behind take away.
        wait(partial(_first_left, cluster, things), show.waiting)
        if title == _SERVICES:
            wait(partial(_first_instance, cluster, things), show.waiting)
        show.reached(title)
    for each in _borrowed(cluster, tenants=tenants):
        cluster.apply(_bare(each))
    show.reached("what was others'")


def _groups(cluster: Cluster, *, tenants: bool) -> list[tuple[str, list[Object]]]:
    """Return what is to be deleted, by the words for it, in the order in which it goes."""
    left = list(cluster.labelled(_OURS))
    if not tenants:
        left = [each for each in left if not is_one_of(each, [*KEPT, "/Namespace"])]
    found = []
    for title, kinds in _ORDER:
        of_it = [each for each in left if is_one_of(each, kinds)]
        left = [each for each in left if each not in of_it]
        found.append((title, of_it))
    if tenants:
        # The platform's own are labelled so too, and go as what an installation has made.
        services = cluster.list(*KSVC, labels=OF_TENANTS)
        theirs = [each for each in services if each["metadata"]["namespace"] != SYSTEM]
        found.append((_SERVICES, theirs))
        found.append(("tenants", list(cluster.list(*NAMESPACE, labels=OF_TENANTS))))
    namespaces = [each for each in left if each["kind"] == "Namespace"]
    others = [each for each in left if each["kind"] != "Namespace"]
    return [*found, ("settings", others), ("the namespace", namespaces)]


def _borrowed(cluster: Cluster, *, tenants: bool) -> Sequence[Object]:
    """Return what was there before an installation and has fields that nobody needs any more."""
    if not tenants:
        return []
    found = [*cluster.list("v1", "ConfigMap", plan.KNATIVE)]
    namespace = cluster.get(*NAMESPACE, SYSTEM)
    if namespace is not None and not made_namespace(cluster):
        found.append(namespace)
    return [
        each
        for each in found
        if MANAGER in {one["manager"] for one in each["metadata"].get("managedFields", [])}
    ]


def _bare(thing: Object) -> Object:
    """Return an object with nothing in it: applied, it loses just what this manager has set."""
    metadata = {k: v for k, v in thing["metadata"].items() if k in {"name", "namespace"}}
    return {"apiVersion": thing["apiVersion"], "kind": thing["kind"], "metadata": metadata}


def _first_left(cluster: Cluster, things: Sequence[Object]) -> str:
    for each in things:
        live = cluster.get(each["apiVersion"], each["kind"], *_name(each))
        if live is not None:
            held_by = parts.held_by(live)
            why = f" ({held_by})" if held_by else ""
            return f"{each['kind']} {each['metadata']['name']} to go{why}"
    return ""


def _first_instance(cluster: Cluster, services: Sequence[Object]) -> str:
    for each in services:
        name, namespace = _name(each)
        if cluster.list(*POD, namespace, f"{SERVICE_OF}={name}"):
            return f"the instances of {name} to end"
    return ""


def _name(thing: Object) -> tuple[str, str]:
    return thing["metadata"]["name"], thing["metadata"].get("namespace", "")

"""What an object in the cluster says of itself: whose it is, and what becomes of it. Pure."""

from datetime import datetime
from typing import Any
from uuid import UUID

from maxcloud import names, system

Manifest = dict[str, Any]

MANAGED = "maxcloud.dev/managed"
ORG = "maxcloud.dev/org"
SERVICE_ID = "maxcloud.dev/service-id"
GENERATION = "maxcloud.dev/generation"

# Knative's own, on each revision: the uid of the Service that it is of.
_OBJECT = "serving.knative.dev/serviceUID"

# On an object that runs an older revision for a moment, only to have that made anew.
RESTORES = "maxcloud.dev/restores"

# What a tenant reads of an object that somebody else deletes.
GOING = "it is being deleted in the cluster, and comes back once it is gone"


def generation_of(live: Manifest) -> int:
    """Return which generation of the row an object in the cluster was written from."""
    written = live["metadata"].get("annotations", {}).get(GENERATION, "0")
    return int(written) if written.isdecimal() else 0


def made_at(live: Manifest) -> datetime:
    """Return when an object was made, by the cluster's clock."""
    return datetime.fromisoformat(live["metadata"]["creationTimestamp"])


def service_id(live: Manifest) -> UUID:
    """Return which service an object of ours is; the nil UUID for one whose label was spoilt."""
    label = live["metadata"].get("labels", {}).get(SERVICE_ID, "")
    return names.as_id(label) or UUID(int=0)


def is_of(live: Manifest, service: UUID) -> bool:
    """Tell whether an object belongs to this service and not to somebody else of its name."""
    return service_id(live) == service


def is_function(live: Manifest) -> bool:
    """Tell whether an object is one of the platform's own functions, of the name that it has."""
    name, namespace = live["metadata"]["name"], live["metadata"]["namespace"]
    is_named_so = namespace == system.NAMESPACE and system.is_function(name)
    return is_named_so and is_of(live, system.service_id(name))


def is_going(live: Manifest) -> bool:
    """Tell whether an object was deleted and is there only as long as something holds it."""
    return "deletionTimestamp" in live["metadata"]


def is_restoring(live: Manifest) -> bool:
    """Tell whether an object is only on its way to what it is to be."""
    return RESTORES in live["metadata"].get("annotations", {})


def is_revision_of(revision: Manifest, live: Manifest) -> bool:
    """Tell whether a revision is one of this very object.

    Another's is of an object of the same name that was deleted, and about to follow it.
    """
    made = revision["metadata"]
    is_ours: bool = made.get("labels", {}).get(_OBJECT) == live["metadata"]["uid"]
    return is_ours and not is_going(revision)

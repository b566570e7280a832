"""The organisation that the platform's own functions are services of. Pure.

Its rows describe what `maxcloud platform install` has put into the cluster, and change nothing
there. Migration 016 makes the organisation and keeps the API from writing to it.
"""

from uuid import UUID, uuid5

from maxcloud import names

# The same in every installation, as in migrations/016_system.sql.
ORG_ID = UUID("00000000-0000-4000-8000-000000000003")
USER_ID = UUID("00000000-0000-4000-8000-000000000004")

NAMESPACE = "mc-system"

# Who has written a function's revision, for `created_by`.
INSTALLATION = "platform install"


def service_id(function: str) -> UUID:
    """Return the id of a function's row, the same in every installation."""
    return uuid5(ORG_ID, function)


def labels(function: str) -> dict[str, str]:
    """Return the labels by which a function's object is found, as a tenant's is."""
    return {
        "maxcloud.dev/managed": "true",
        "maxcloud.dev/org": str(ORG_ID),
        "maxcloud.dev/service-id": str(service_id(function)),
    }


def is_function(name: str) -> bool:
    """Tell whether a name may be a function's: no tenant's service can have it."""
    return name in names.RESERVED_NAMES

"""Who is calling, and whether their role reaches far enough."""

from dataclasses import dataclass
from uuid import UUID

from maxcloud.config import DEV_ORG_ID, Config
from maxcloud.errors import Forbidden, Unauthenticated
from maxcloud.models import Role


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller: the organisation that everything is done in, and a word for `created_by`."""

    org_id: UUID
    user: str
    role: Role


def identify(config: Config) -> Identity:
    """Return who calls.

    In DEV_MODE that is always the one developer. Without it every caller is unknown: keys come
    with the function `auth`. Raises Unauthenticated.
    """
    if not config.dev_mode:
        raise Unauthenticated("authentication required")
    return Identity(DEV_ORG_ID, "dev", Role.ADMIN)


def require(identity: Identity, least: Role) -> None:
    """Raise Forbidden when the caller's role does not cover `least`."""
    if not identity.role.covers(least):
        raise Forbidden(f"this needs the role {least}, your key has {identity.role}")

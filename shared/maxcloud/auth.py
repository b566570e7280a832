"""Who is calling, and whether their role reaches far enough."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from maxcloud import keys, system
from maxcloud.config import DEV_ORG_ID, DEV_USER_ID, Config, Registration
from maxcloud.errors import EmailUnverified, Forbidden, Unauthenticated, Unavailable
from maxcloud.roles import Role
from maxcloud.store import api_keys, limits
from maxcloud.store.database import Database


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller: the organisation that everything is done in, and what they may do there.

    `user` is their address, the word for `created_by`. `is_verified` tells whether it is proven.
    `unnoted_key` is the key whose use has not been written down within the last minute.
    """

    org_id: UUID
    user_id: UUID
    user: str
    role: Role
    is_verified: bool
    unnoted_key: UUID | None = None


DEVELOPER = Identity(DEV_ORG_ID, DEV_USER_ID, "dev", Role.ADMIN, is_verified=True)


async def identify(
    headers: Mapping[str, str], client: object, config: Config, db: Database
) -> Identity:
    """Return who calls, by the key in Authorization; in DEV_MODE always the one developer.

    Raises Unauthenticated, and TooManyRequests where keys are being guessed. A good key is never
    refused for the bad ones of others, and what cannot be a key does not reach the database.
    """
    if config.dev_mode:
        return DEVELOPER
    scheme, _, key = headers.get("authorization", "").partition(" ")
    prefix = keys.prefix_of(key) if scheme.lower() == "bearer" else None
    if prefix is None:
        raise Unauthenticated("authentication required")
    owner = await api_keys.look_up(db, prefix)
    if owner and keys.proves(key, owner.digest, config.secret_keys) and not owner.is_expired:
        return Identity(
            org_id=owner.org_id,
            user_id=owner.user_id,
            user=owner.email,
            # A key does not outlive what its owner may do.
            role=max(Role(owner.role), Role(owner.membership), key=list(Role).index),
            is_verified=owner.is_verified,
            unnoted_key=None if owner.was_used_lately else owner.id,
        )
    await limits.count(db, limits.FAILED_KEY_OF_PREFIX, prefix)
    await limits.count(db, limits.FAILED_KEY_OF_ADDRESS, client)
    raise Unauthenticated("authentication required")


def require(identity: Identity, least: Role, config: Config) -> None:
    """Raise Forbidden when the caller's role does not cover `least`.

    What asks for `deploy` writes services and images: it asks for a proven address too, where
    the installation does, or raises EmailUnverified. In the platform's own organisation everybody
    only reads.
    """
    if identity.org_id == system.ORG_ID and least is not Role.READ:
        raise Forbidden(
            "the platform's own services are only read here:"
            " `maxcloud platform install` and `maxcloud platform rollback` change them"
        )
    if not identity.role.covers(least):
        raise Forbidden(f"this needs the role {least}, your key has {identity.role}")
    wants_proof = least is Role.DEPLOY and config.registration == Registration.VERIFY
    if wants_proof and not identity.is_verified:
        raise EmailUnverified("prove your e-mail address first, by the token that was mailed")


async def note_use(identity: Identity, db: Database) -> None:
    """Write down that a key was used, at most once a minute; after the answer, nobody waits."""
    if identity.unnoted_key is not None:
        with contextlib.suppress(Unavailable):
            await api_keys.touch(db, identity.org_id, identity.unnoted_key)

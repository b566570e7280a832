"""How often something may be tried: fixed windows, counted in the database for all instances."""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network

from psycopg.rows import scalar_row

from maxcloud.errors import TooManyRequests
from maxcloud.store.database import Database, statements

_SQL = statements("limits")

# Who has one address of this network has them all.
_IPV6_NETWORK = 64


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` attempts of `what` within `seconds`."""

    what: str
    most: int
    seconds: int


REGISTER = Limit("register", 60, 3600)
VERIFY = Limit("verify", 60, 600)
ACCEPT = Limit("accept-invite", 60, 600)
INVITE = Limit("invite", 200, 3600)
INVITE_UNVERIFIED = Limit("invite-unverified", 5, 86400)
FAILED_KEY_OF_ADDRESS = Limit("key-address", 60, 60)
FAILED_KEY_OF_PREFIX = Limit("key-prefix", 30, 60)


async def count(db: Database, limit: Limit, who: object) -> None:
    """Count one attempt of `who`; raises TooManyRequests when it is one too many."""
    bucket = f"{limit.what} {_network(who)}"
    values = {"bucket": bucket, "most": limit.most, "seconds": limit.seconds}
    [wait] = await db.ask(_SQL["count_across_tenants"], scalar_row, **values)
    if wait:
        raise TooManyRequests("too many attempts; wait before the next one", retry_after=wait)


async def forget(db: Database) -> None:
    """Remove what is over, so that the table stays small."""
    async with db.across_tenants() as connection:
        await connection.execute(_SQL["forget_across_tenants"])


def _network(who: object) -> object:
    if isinstance(who, IPv6Address):
        return ip_network((who, _IPV6_NETWORK), strict=False)
    return who

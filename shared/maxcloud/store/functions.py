"""The rows of the platform's own functions: what an installation has put into the cluster.

They are written as it is seen there. The API may read them and no more (migrations/016_system.sql).
"""

from dataclasses import asdict

from psycopg.types.json import Jsonb

from maxcloud import system
from maxcloud.functions import Function
from maxcloud.hints import ServiceHint
from maxcloud.models import ServiceStatus
from maxcloud.store import service_names
from maxcloud.store.database import Database, statements
from maxcloud.store.services import ServiceRow, service_row

_SQL = statements("functions")

_BY = {"by": system.INSTALLATION}


def hint(function: str, generation: int = 1) -> ServiceHint:
    """Return the data of an event that names a function, whether it has a row or not."""
    id = system.service_id(function)
    return ServiceHint(id=id, org_id=system.ORG_ID, name=function, generation=generation)


async def keep(db: Database, seen: Function) -> ServiceRow | None:
    """Write down what a function has become; None when that, or something later, is there already.

    Each revision that was not there is one more generation in its history.
    """
    key = _key(seen.name)
    async with db.tenant(system.ORG_ID) as connection:
        # A hint and a change may tell of a new one at the same moment.
        await service_names.lock(connection, seen.name)
        await connection.execute(_SQL["begin_anew"], {**key, "made_at": seen.made_at})
        cursor = connection.cursor(row_factory=service_row)
        await cursor.execute(_SQL["keep"], {**key, **_values(seen)})
        row = await cursor.fetchone()
        if row is not None:
            for revision in seen.revisions:
                values = {**asdict(revision), "template": Jsonb(revision.template), **_BY}
                await connection.execute(_SQL["add_revision"], {**key, **values})
    return row


async def forget(db: Database, function: str) -> None:
    """Let the row of a function go that the cluster has no more; a tombstone would delete it."""
    async with db.tenant(system.ORG_ID) as connection:
        await connection.execute(_SQL["forget"], _key(function))


async def keep_key(db: Database, prefix: str, digest: bytes) -> None:
    """Let the one key of the organisation be this, which reads; any other is revoked."""
    key = {"org_id": system.ORG_ID, "prefix": prefix}
    async with db.tenant(system.ORG_ID) as connection:
        await connection.execute(_SQL["revoke_others"], key)
        values = {**key, "user_id": system.USER_ID, "digest": digest}
        await connection.execute(_SQL["keep_key"], values)


def _key(function: str) -> dict[str, object]:
    return {"org_id": system.ORG_ID, "id": system.service_id(function)}


def _values(seen: Function) -> dict[str, object]:
    newest, is_settled = seen.revisions[-1], seen.status != ServiceStatus.PENDING
    settings = {
        field: Jsonb(value) if isinstance(value, list | dict) else value
        for field, value in newest.template.items()
    }
    return {
        **settings,
        **asdict(seen),
        "digest": newest.digest,
        "traffic": Jsonb(seen.traffic),
        "generation": newest.generation,
        "observed_generation": newest.generation if is_settled else 0,
        "latest_revision": newest.name,
        **_BY,
    }

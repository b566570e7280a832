"""The rows of services, as event handlers bring them and the cluster together.

Every write is guarded by the generation that the handler loaded. A write that hits no row returns
None: something newer has happened, and the handler has nothing left to say.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from maxcloud.hints import ServiceHint
from maxcloud.models import ServiceStatus
from maxcloud.store import service_names
from maxcloud.store.database import Database, statements
from maxcloud.store.services import ServiceRow, service_row

# When an object was made, which tells it from another of its name, and its resourceVersion: of two
# reports of one object the greater is the later (KEP-5504).
Version = tuple[datetime, int]

_SQL = statements("convergence")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A service that is not yet as its row says, for an operator to read."""

    id: UUID
    org_id: UUID
    name: str
    status: str
    reason: str
    message: str
    attempts: int
    updated_at: datetime


async def load(db: Database, org_id: UUID, id: UUID) -> ServiceRow | None:
    """Return the row that an event names, or None when it is gone."""
    found = await db.read(org_id, _SQL["load"], service_row, id=id)
    return found[0] if found else None


async def image_resolved(
    db: Database, row: ServiceRow, digest: str, exposed_port: int | None
) -> ServiceRow | None:
    """Keep what the registry said about the image of this generation."""
    message = f"{row.image} is {digest}"
    values = {"digest": digest, "exposed_port": exposed_port, "message": message}
    return await _guarded(db, "image_resolved", row, **values)


async def revision_chosen(db: Database, row: ServiceRow, revision: str) -> ServiceRow | None:
    """Keep the name of the revision that this generation runs as."""
    return await _guarded(db, "revision_chosen", row, revision=revision)


async def applied(
    db: Database, row: ServiceRow, cluster_generation: int, cluster_created: datetime
) -> ServiceRow | None:
    """Keep that the cluster has this generation, as `metadata.generation` of its object.

    The reports of another object than the last one, which was lost or is in another cluster, begin
    anew.
    """
    values = {"cluster_generation": cluster_generation, "cluster_created": cluster_created}
    return await _guarded(db, "applied", row, **values)


async def delayed(db: Database, row: ServiceRow, message: str) -> ServiceRow | None:
    """Keep why this generation has to wait."""
    return await _guarded(db, "delayed", row, message=message)


async def failed(
    db: Database, row: ServiceRow, reason: str, message: str, *, image_refused: bool = False
) -> ServiceRow | None:
    """Give this generation up for a reason that no repetition mends."""
    values = {"reason": reason, "message": message, "image_refused": image_refused}
    return await _guarded(db, "failed", row, **values)


async def observed(
    db: Database,
    row: ServiceRow,
    *,
    status: ServiceStatus,
    reason: str,
    message: str,
    ready_revision: str | None,
    version: Version,
) -> ServiceRow | None:
    """Keep what the cluster reports of this generation, unless a later report was kept already.

    What it reports of another object than the one that was applied last is not believed.
    """
    return await _guarded(
        db,
        "observed",
        row,
        status=status.value,
        reason=reason,
        message=message,
        ready_revision=ready_revision,
        cluster_created=version[0],
        cluster_version=version[1],
    )


async def lost(db: Database, row: ServiceRow, message: str) -> ServiceRow | None:
    """Open a settled generation again, because the cluster no longer has all of it.

    None for one that never was there, and for one that is not settled or on its way out.
    """
    return await _guarded(db, "lost", row, message=message)


async def overtake(db: Database, row: ServiceRow, beyond: int) -> ServiceRow | None:
    """Give the row's generation the number after `beyond`, the one that the cluster has.

    The cluster is never ahead of the rows, unless these were restored from an older copy: then
    nothing that they say would reach it any more.
    """
    return await _guarded(db, "overtake", row, beyond=beyond)


async def serving_observed(
    db: Database, row: ServiceRow, ready_revision: str | None, version: Version
) -> ServiceRow | None:
    """Keep which revision serves while the cluster still shows an older generation."""
    return await _guarded(
        db,
        "serving_observed",
        row,
        ready_revision=ready_revision,
        cluster_created=version[0],
        cluster_version=version[1],
    )


async def remove(db: Database, row: ServiceRow) -> bool:
    """Delete the row of a service that has left the cluster; a tombstone keeps its name.

    Returns False when it was gone already.
    """
    async with db.tenant(row.org_id) as connection:
        await service_names.lock(connection, row.name)
        cursor = await connection.execute(_SQL["remove"], {"org_id": row.org_id, "id": row.id})
        return cursor.rowcount > 0


async def name_on_tombstone(db: Database, org_id: UUID, id: UUID) -> str | None:
    """Return the name of a service that was deleted, so that its objects may go; else None."""
    async with db.tenant(org_id) as connection:
        cursor = await connection.execute(_SQL["tombstone"], {"org_id": org_id, "id": id})
        row = await cursor.fetchone()
        return row[0] if row else None


async def named_across_tenants(db: Database, name: str) -> ServiceRow | None:
    """Return the service of this name, whoever has it: names are unique over the platform."""
    async with db.across_tenants() as connection:
        cursor = connection.cursor(row_factory=service_row)
        await cursor.execute(_SQL["named_across_tenants"], {"name": name})
        return await cursor.fetchone()


async def claim_unconverged_across_tenants(db: Database, most: int) -> list[ServiceRow]:
    """Return up to `most` rows that are due for another hint, and put off their next one."""
    async with db.across_tenants() as connection:
        cursor = connection.cursor(row_factory=service_row)
        await cursor.execute(_SQL["claim_unconverged_across_tenants"], {"most": most})
        return await cursor.fetchall()


async def give_back_across_tenants(db: Database, claimed: list[ServiceRow]) -> None:
    """Let rows be due again whose hint nobody took."""
    async with db.across_tenants() as connection:
        ids = [row.id for row in claimed]
        await connection.execute(_SQL["give_back_across_tenants"], {"ids": ids})


@dataclass(frozen=True, slots=True)
class Expected:
    """What the cluster should hold of one service, for the sweep's comparison."""

    id: UUID
    org_id: UUID
    name: str
    generation: int
    is_settled: bool
    cluster_generation: int | None
    cluster_version: int

    def hint(self) -> ServiceHint:
        """Return the data of an event that names this service."""
        return ServiceHint(
            id=self.id, org_id=self.org_id, name=self.name, generation=self.generation
        )


async def waiting_across_tenants(db: Database, most: int) -> list[Waiting]:
    """Return the services that the cluster has not caught up with, the longest waiting first."""
    async with db.across_tenants() as connection:
        cursor = connection.cursor(row_factory=class_row(Waiting))
        await cursor.execute(_SQL["waiting_across_tenants"], {"most": most})
        return await cursor.fetchall()


async def everything_across_tenants(db: Database) -> list[Expected]:
    """Return what the cluster should hold."""
    async with db.across_tenants() as connection:
        cursor = connection.cursor(row_factory=class_row(Expected))
        await cursor.execute(_SQL["everything_across_tenants"])
        return await cursor.fetchall()


async def tombstones_across_tenants(db: Database, ids: list[UUID]) -> set[UUID]:
    """Return which of these services were deleted."""
    async with db.across_tenants() as connection:
        cursor = await connection.execute(_SQL["tombstones_across_tenants"], {"ids": ids})
        return {row[0] for row in await cursor.fetchall()}


async def _guarded(
    db: Database, statement: str, row: ServiceRow, **values: object
) -> ServiceRow | None:
    key = {"org_id": row.org_id, "id": row.id, "generation": row.generation}
    async with db.tenant(row.org_id) as connection:
        cursor = connection.cursor(row_factory=service_row)
        await cursor.execute(_SQL[statement], {**key, **values})
        return await cursor.fetchone()

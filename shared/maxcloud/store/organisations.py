"""The rows of organizations, as those need them who give each its place in the cluster."""

from uuid import UUID

from maxcloud.store.database import Database, statements

_SQL = statements("organisations")


async def exists(db: Database, org_id: UUID) -> bool:
    """Tell whether there is an organisation of this id."""
    async with db.tenant(org_id) as connection:
        cursor = await connection.execute(_SQL["exists"], {"org_id": org_id})
        return await cursor.fetchone() is not None


async def all_across_tenants(db: Database) -> list[UUID]:
    """Return every organisation."""
    async with db.across_tenants() as connection:
        cursor = await connection.execute(_SQL["all_across_tenants"])
        return [row[0] for row in await cursor.fetchall()]

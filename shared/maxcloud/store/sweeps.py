"""The one row of sweeps: when the last one came to its end."""

from datetime import datetime

from psycopg.rows import scalar_row

from maxcloud.store.database import Database, statements

_SQL = statements("sweeps")


async def ended(db: Database) -> None:
    """Write down that a sweep has come to its end."""
    async with db.across_tenants() as connection:
        await connection.execute(_SQL["ended"])


async def last(db: Database) -> datetime | None:
    """Return when the last sweep came to its end; None before the first."""
    async with db.across_tenants() as connection:
        cursor = connection.cursor(row_factory=scalar_row)
        return await (await cursor.execute(_SQL["last"])).fetchone()

"""What became of a service: rows that the database writes itself (migrations/010_history.sql)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from maxcloud.models import ServiceEvent
from maxcloud.store.database import Database, rows_of, statements

_SQL = statements("service_events")


@dataclass(frozen=True, slots=True)
class ServiceEventRow:
    """A row of service_events; the fields are its columns."""

    id: int
    generation: int
    status: str
    reason: str
    message: str
    by: str
    at: datetime

    def public(self) -> ServiceEvent:
        """Return the event as the API shows it."""
        return ServiceEvent(**{field: getattr(self, field) for field in ServiceEvent.model_fields})


async def of_service(
    db: Database,
    org_id: UUID,
    service_id: UUID,
    *,
    before: int | None = None,
    most: int | None = None,
) -> list[ServiceEventRow]:
    """Return what became of a service, newest first: those before an id, up to `most`.

    The newest hundred are kept.
    """
    async with db.tenant(org_id) as connection:
        cursor = connection.cursor(row_factory=rows_of(ServiceEventRow))
        values = {"org_id": org_id, "service_id": service_id, "before": before, "most": most}
        await cursor.execute(_SQL["of_service"], values)
        return await cursor.fetchall()

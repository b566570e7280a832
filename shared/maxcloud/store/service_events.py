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


_row = rows_of(ServiceEventRow)


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
    key = {"service_id": service_id, "before": before, "most": most}
    return await db.read(org_id, _SQL["of_service"], _row, **key)

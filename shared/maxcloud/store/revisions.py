"""The rows of revisions: every template that a service ever ran."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from maxcloud import names
from maxcloud.models import Revision, Template
from maxcloud.store.database import Database, statements
from maxcloud.store.services import ServiceRow

_SQL = statements("revisions")


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """A row of revisions; the fields are its columns."""

    id: UUID
    org_id: UUID
    service_id: UUID
    generation: int
    name: str
    image: str
    digest: str
    template: dict[str, Any]
    created_by: str
    created_at: datetime

    def public(self, serving: str | None) -> Revision:
        """Return the revision as the API shows it; `serving` is the one that has the traffic."""
        shown = {
            field: getattr(self, field) for field in Revision.model_fields if field != "traffic"
        }
        return Revision(**shown, traffic=100 if self.name == serving else 0)


async def choose(db: Database, row: ServiceRow, template: Template) -> RevisionRow:
    """Return the revision that runs `template`: the latest one if it is the same, else a new one.

    Two handlers of one generation get the same revision.
    """
    wanted = template.model_dump(mode="json")
    async with db.tenant(row.org_id) as connection:
        cursor = connection.cursor(row_factory=class_row(RevisionRow))
        key = {"org_id": row.org_id, "service_id": row.id}
        await cursor.execute(_SQL["latest"], key)
        latest = await cursor.fetchone()
        if latest is not None and latest.template == wanted:
            return latest
        await cursor.execute(
            _SQL["add"],
            {
                **key,
                "generation": row.generation,
                "name": names.revision_name(row.name, row.generation),
                "image": row.image,
                "digest": row.digest,
                "template": Jsonb(wanted),
                "created_by": row.updated_by,
            },
        )
        added = await cursor.fetchone()
    assert added is not None  # noqa: S101 - `on conflict do update` always returns the row
    return added


async def of_service(db: Database, org_id: UUID, service_id: UUID) -> list[RevisionRow]:
    """Return a service's revisions, newest first."""
    async with db.tenant(org_id) as connection:
        cursor = connection.cursor(row_factory=class_row(RevisionRow))
        await cursor.execute(_SQL["of_service"], {"org_id": org_id, "service_id": service_id})
        return await cursor.fetchall()

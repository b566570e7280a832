"""The rows of revisions: every template that a service ever ran."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from maxcloud import names
from maxcloud.models import Revision, Template
from maxcloud.store.database import Database, rows_of, statements
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
    ready_at: datetime | None
    kept_at: datetime | None

    @property
    def runs(self) -> Template:
        """What it runs, as it was when it was made."""
        return Template.model_construct(**self.template)

    def public(self, traffic: int) -> Revision:
        """Return the revision as the API shows it; `traffic` is its percentage."""
        fields = Revision.model_fields.keys() - {"traffic"}
        return Revision(**{field: getattr(self, field) for field in fields}, traffic=traffic)


_revision_row = rows_of(RevisionRow)


async def choose(db: Database, row: ServiceRow, template: Template) -> RevisionRow | None:
    """Return the revision that runs `template`: the latest one if it is the same, else a new one.

    Two handlers of one generation get the same revision; None when something newer has happened.
    """
    wanted = template.model_dump(mode="json")
    async with db.tenant(row.org_id) as connection:
        cursor = connection.cursor(row_factory=_revision_row)
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
        return await cursor.fetchone()


async def newest(db: Database, row: ServiceRow) -> RevisionRow | None:
    """Return a service's newest revision, or None when it never had one."""
    found = await _all(db, "latest", row.org_id, row.id)
    return found[0] if found else None


async def named(db: Database, row: ServiceRow, names: set[str]) -> list[RevisionRow]:
    """Return those of a service's revisions that have one of these names, oldest first."""
    return await _all(db, "named", row.org_id, row.id, names=list(names))


async def of_service(
    db: Database,
    org_id: UUID,
    service_id: UUID,
    *,
    before: int | None = None,
    most: int | None = None,
) -> list[RevisionRow]:
    """Return a service's revisions, newest first: those before a generation, up to `most`."""
    return await _all(db, "of_service", org_id, service_id, before=before, most=most)


async def became_ready(db: Database, row: ServiceRow, name: str) -> None:
    """Keep that a revision can serve, the first time that it is said."""
    async with db.tenant(row.org_id) as connection:
        values = {"org_id": row.org_id, "service_id": row.id, "name": name}
        await connection.execute(_SQL["became_ready"], values)


async def _all(
    db: Database, statement: str, org_id: UUID, service_id: UUID, **values: object
) -> list[RevisionRow]:
    return await db.read(org_id, _SQL[statement], _revision_row, service_id=service_id, **values)

"""Rows to begin a test with."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from maxcloud.config import DEV_ORG_ID
from maxcloud.models import DeployRequest, ServiceStatus, UpdateRequest
from maxcloud.store import convergence, services
from maxcloud.store.database import Database
from maxcloud.store.services import ServiceRow

# When the object in the cluster was made.
MADE = datetime(2026, 1, 1, tzinfo=UTC)

DIGEST = f"sha256:{'a' * 64}"
ANOTHER_DIGEST = f"sha256:{'b' * 64}"


def wanted(name: str = "shop", **settings: Any) -> DeployRequest:
    return DeployRequest(name=name, image=settings.pop("image", "nginx:1.29"), **settings)


async def created(
    db: Database, name: str = "shop", org_id: UUID = DEV_ORG_ID, **settings: Any
) -> ServiceRow:
    return await services.create(db, org_id, wanted(name, **settings), by="test")


async def patched(db: Database, name: str = "shop", **patch: Any) -> ServiceRow:
    return await services.update(db, DEV_ORG_ID, name, UpdateRequest(**patch), by="test")


async def deleting(db: Database, name: str = "shop", org_id: UUID = DEV_ORG_ID) -> ServiceRow:
    return await services.mark_deleting(db, org_id, name, by="test")


async def loaded(db: Database, row: ServiceRow) -> ServiceRow:
    """The row as it is now."""
    found = await convergence.load(db, row.org_id, row.id)
    assert found is not None
    return found


async def seen(
    db: Database,
    row: ServiceRow,
    status: ServiceStatus = ServiceStatus.READY,
    version: int = 100,
    ready_revision: str | None = "shop-00001",
    *,
    made: datetime = MADE,
) -> ServiceRow | None:
    """What `status` writes after a look at the cluster."""
    return await convergence.observed(
        db,
        row,
        status=status,
        reason="",
        message="",
        ready_revision=ready_revision,
        version=(made, version),
    )


def add_organisation(owner_url: str) -> UUID:
    org_id = uuid4()
    insert = "insert into organizations (id, name) values (%s, %s)"
    execute(owner_url, insert, org_id, f"another {org_id}")
    return org_id


def execute(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement as the role of `url`, without a tenant."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []

"""The rows of images: which tags the registry has, and which build each leads to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import class_row, dict_row

from maxcloud.hints import ImageHint
from maxcloud.images import Image
from maxcloud.store.database import Database, rows_of, statements

_SQL = statements("images")

# Where a build stands in their order: by name, the newest first.
Place = tuple[str, datetime, str]


@dataclass(frozen=True, slots=True)
class ImageRow:
    """A row of images: one tag. The fields are its columns."""

    id: UUID
    org_id: UUID
    name: str
    tag: str
    digest: str
    size_bytes: int
    created_at: datetime
    generation: int

    def hint(self) -> ImageHint:
        """Return the data of an event that names this tag."""
        name = f"{self.name}:{self.tag}"
        return ImageHint(id=self.id, org_id=self.org_id, name=name, generation=self.generation)


@dataclass(frozen=True, slots=True)
class Unkept:
    """A revision whose image has no tag of our own yet; `image` is its pinned reference."""

    org_id: UUID
    id: UUID
    name: str
    image: str


class Repository:
    """One image's rows, while nobody else changes them."""

    def __init__(self, connection: AsyncConnection, org_id: UUID, name: str) -> None:
        self._connection = connection
        self._key = {"org_id": org_id, "name": name}

    async def find(self, tag: str) -> ImageRow | None:
        """Return the row of a tag."""
        return await self._one("find", tag=tag)

    async def put(self, tag: str, digest: str, size_bytes: int) -> ImageRow | None:
        """Keep which build a tag leads to; None when it did before, or no organisation has it."""
        return await self._one("put", tag=tag, digest=digest, size_bytes=size_bytes)

    async def remove(self, tag: str) -> None:
        """Forget a tag."""
        await self._run("remove", tag=tag)

    async def is_last(self, row: ImageRow) -> bool:
        """Tell whether no other tag leads to the same build."""
        cursor = await self._run("others_of_build", tag=row.tag, digest=row.digest)
        return await cursor.fetchone() is None

    async def serving(self, reference: str) -> list[str]:
        """Return the revisions that requests reach and that run this pinned reference."""
        cursor = await self._run("serving", reference=reference)
        return [each["name"] for each in await cursor.fetchall()]

    async def _one(self, statement: str, **values: object) -> ImageRow | None:
        cursor = self._connection.cursor(row_factory=rows_of(ImageRow))
        await cursor.execute(_SQL[statement], {**self._key, **values})
        return await cursor.fetchone()

    async def _run(self, statement: str, **values: object) -> AsyncCursor[dict[str, Any]]:
        cursor = self._connection.cursor(row_factory=dict_row)
        await cursor.execute(_SQL[statement], {**self._key, **values})
        return cursor


@asynccontextmanager
async def locked(db: Database, org_id: UUID, name: str) -> AsyncIterator[Repository]:
    """Yield an image's rows in a transaction that others who want them wait for.

    So what the registry is asked inside is what is written, in this order, whoever else asks.
    """
    async with db.tenant(org_id) as connection:
        await connection.execute(_SQL["lock"], {"org_id": org_id, "name": name})
        yield Repository(connection, org_id, name)


async def tags(db: Database, org_id: UUID, name: str) -> dict[str, str]:
    """Return the digests of an image's builds by tag."""
    async with db.tenant(org_id) as connection:
        cursor = await connection.execute(_SQL["tags"], {"org_id": org_id, "name": name})
        return dict(await cursor.fetchall())


async def builds(db: Database, org_id: UUID, after: Place | None, most: int) -> list[Image]:
    """Return up to `most` builds of an organisation, by name, the newest first."""
    name, created_at, digest = after or (None, None, None)
    values = {"name": name, "created_at": created_at, "digest": digest, "most": most}
    async with db.tenant(org_id) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(_SQL["builds"], {"org_id": org_id, **values})
        return [Image.model_validate(row) for row in await cursor.fetchall()]


async def repository_serves(db: Database, org_id: UUID, repository: str) -> bool:
    """Tell whether requests reach a revision that runs a build of a repository (with its host)."""
    async with db.tenant(org_id) as connection:
        values = {"org_id": org_id, "repository": repository}
        cursor = await connection.execute(_SQL["repository_serves"], values)
        return await cursor.fetchone() is not None


async def unkept_across_tenants(db: Database, host: str, most: int) -> list[Unkept]:
    """Return revisions that run what is in this registry and have no tag of our own yet."""
    async with db.across_tenants() as connection:
        cursor = connection.cursor(row_factory=class_row(Unkept))
        await cursor.execute(_SQL["unkept_across_tenants"], {"host": host, "most": most})
        return await cursor.fetchall()


async def kept(db: Database, org_id: UUID, revision_id: UUID) -> None:
    """Keep that a revision's image has a tag of our own."""
    async with db.tenant(org_id) as connection:
        await connection.execute(_SQL["kept"], {"org_id": org_id, "id": revision_id})


async def forgotten(db: Database, org_id: UUID, services: list[str]) -> set[str]:
    """Return those of an organisation's services that were deleted.

    Only a tombstone says so: an empty or restored database must not let images go.
    """
    async with db.tenant(org_id) as connection:
        cursor = await connection.execute(
            _SQL["forgotten"], {"org_id": org_id, "services": services}
        )
        return {row[0] for row in await cursor.fetchall()}


async def position_across_tenants(db: Database) -> str:
    """Return the repository that the sweep looked at last; empty at the beginning."""
    async with db.across_tenants() as connection:
        cursor = await connection.execute(_SQL["position_across_tenants"])
        row = await cursor.fetchone()
        return row[0] if row else ""


async def move_across_tenants(db: Database, position: str) -> None:
    """Keep where the sweep is to go on."""
    async with db.across_tenants() as connection:
        await connection.execute(_SQL["move_across_tenants"], {"position": position})

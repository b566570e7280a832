"""The rows of services, as tenants write and read them."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from maxcloud import names, system, traffic
from maxcloud.errors import InvalidField, NameTaken, NotFound, PreconditionFailed, ServiceDeleting
from maxcloud.hints import ServiceHint
from maxcloud.models import (
    DeployRequest,
    Service,
    ServiceSettings,
    ServiceStatus,
    Template,
    UpdateRequest,
    merge,
)
from maxcloud.store import service_names
from maxcloud.store.database import Database, rows_of, statements
from maxcloud.traffic import LATEST, TrafficShare

DEFAULT_PORT = 8080

_SQL = statements("services")


# Not frozen, though nothing changes one: making a frozen one takes six times as long.
@dataclass(slots=True)
class ServiceRow:
    """A row of services; the fields are its columns."""

    id: UUID
    org_id: UUID
    name: str
    image: str
    digest: str | None
    exposed_port: int | None
    image_refused: bool
    port: int
    command: list[str]
    args: list[str]
    env_vars: dict[str, str]
    min_scale: int
    max_scale: int
    concurrency: int
    cpu: str
    memory: str
    timeout_seconds: int
    traffic: list[dict[str, Any]]
    status: str
    reason: str
    message: str
    generation: int
    observed_generation: int
    latest_revision: str | None
    ready_revision: str | None
    cluster_generation: int | None
    cluster_version: int
    updated_by: str
    created_at: datetime
    updated_at: datetime

    @property
    def settings(self) -> ServiceSettings:
        """How the container runs, as the tenant wrote it."""
        # Checked when it was written: a rule that came later does not hold for older rows.
        return ServiceSettings.model_construct(
            **{field: getattr(self, field) for field in ServiceSettings.model_fields}
        )

    @property
    def is_settled(self) -> bool:
        """Whether the newest generation has come to its end, ready or failed."""
        return self.observed_generation == self.generation

    @property
    def is_given_up(self) -> bool:
        """Whether the newest generation failed before it could reach the cluster."""
        return self.is_settled and self.image_refused and self.status == ServiceStatus.FAILED

    @property
    def newest_ready(self) -> str | None:
        """The newest revision, when it is ready and no write is under way."""
        is_ready = self.is_settled and self.latest_revision == self.ready_revision
        return self.latest_revision if is_ready else None

    @property
    def shares(self) -> list[TrafficShare]:
        """Where the requests are to go."""
        return [TrafficShare.model_construct(**share) for share in self.traffic]

    @property
    def only_routes(self) -> bool:
        """Whether this generation made no revision and waits for none: it moves traffic."""
        made = names.revision_name(self.name, self.generation)
        return self.latest_revision != made and not traffic.follows_latest(self.shares)

    def percent_of(self, revision: str) -> int:
        """Return how much of the requests one of its revisions gets."""
        return traffic.percent_of(self.shares, revision, self.ready_revision)

    def template(self, image: str) -> Template:
        """Return what a revision of this row runs; `image` is the reference with its digest."""
        port = self.port or self.exposed_port or DEFAULT_PORT
        return Template.model_construct(image=image, **{**self.settings.model_dump(), "port": port})

    def hint(self, reason: str | None = None) -> ServiceHint:
        """Return the data of an event that names this service."""
        return ServiceHint(
            id=self.id,
            org_id=self.org_id,
            name=self.name,
            generation=self.generation,
            revision=self.latest_revision,
            reason=reason,
        )

    def public(self, domain: str) -> Service:
        """Return the service as the API shows it."""
        shown = {field: getattr(self, field) for field in _PUBLIC}
        # The platform's functions answer inside the cluster alone; together they are the API.
        is_own = self.org_id == system.ORG_ID
        shown["url"] = names.api_url(domain) if is_own else names.url(self.name, domain)
        shown["traffic"] = [
            {**share, "url": tag and names.tag_url(self.name, tag, domain)}
            for share in self.traffic
            for tag in [share.get("tag")]
        ]
        return Service.model_validate(shown)


# The one mapper of the table.
service_row = rows_of(ServiceRow)

_PUBLIC = {field.name for field in fields(ServiceRow)} & Service.model_fields.keys()


async def create(db: Database, org_id: UUID, wanted: DeployRequest, by: str) -> ServiceRow:
    """Write a new service, pending at its first generation.

    Raises NameTaken when another service has the name, or had it less than 30 days ago in
    another organisation, or when a revision of one has or will have the other's name;
    ServiceDeleting when the organisation's own is on its way out.
    """
    values = {**_settings(wanted), "name": wanted.name, "image": wanted.image}
    async with db.tenant(org_id) as connection:
        await service_names.lock(connection, wanted.name)
        await service_names.require_no_revisions(connection, org_id, wanted.name)
        row = await _one(connection, "create", org_id, updated_by=by, **values)
        if row is not None:
            return row
        same = await _one(connection, "find", org_id, id=None, name=wanted.name)
    if same is not None and same.status == ServiceStatus.DELETING:
        raise ServiceDeleting("a service of this name is still being deleted", field="name")
    raise NameTaken("a service of this name exists already", field="name")


async def all_of_organisation(
    db: Database, org_id: UUID, *, after: str | None = None, most: int | None = None
) -> list[ServiceRow]:
    """Return an organisation's services by name: those after a name, up to `most` of them."""
    return await db.read(org_id, _SQL["all_of_organisation"], service_row, after=after, most=most)


async def get(db: Database, org_id: UUID, id_or_name: str) -> ServiceRow:
    """Return one service; raises NotFound."""
    found = await db.read(org_id, _SQL["find"], service_row, **_key(id_or_name))
    if not found:
        raise NotFound("no such service")
    return found[0]


async def update(
    db: Database,
    org_id: UUID,
    id_or_name: str,
    patch: UpdateRequest,
    by: str,
    *,
    if_match: int | None = None,
) -> ServiceRow:
    """Merge what the caller sent into a service and make it the next generation.

    An image that was sent is resolved again; a patch that changes nothing else writes nothing.
    Raises NotFound, ServiceDeleting, PreconditionFailed, or InvalidField for a rule that only the
    merged whole breaks and for traffic to a revision that is not this service's.
    """
    sent = patch.model_dump(exclude_unset=True, exclude={"image", "traffic"})
    async with db.tenant(org_id) as connection:
        row = await _lock(connection, org_id, id_or_name)
        if row.status == ServiceStatus.DELETING:
            raise ServiceDeleting("this service is being deleted")
        require_generation(row, if_match)
        image = patch.image if "image" in patch.model_fields_set else None
        settings = _validated(merge(row.settings, sent))
        is_deploy = image is not None or settings != row.settings
        shares = await _shares(connection, row, patch, is_deploy=is_deploy)
        if not is_deploy and shares == row.shares:
            return row
        written = await _one(
            connection,
            "update",
            org_id,
            id=row.id,
            image=image or row.image,
            resolve=image is not None or (is_deploy and row.image_refused),
            traffic=Jsonb([share.model_dump(exclude_none=True) for share in shares]),
            updated_by=by,
            **_settings(settings),
        )
    assert written is not None  # noqa: S101 - the row is locked
    return written


async def _shares(
    connection: AsyncConnection, row: ServiceRow, patch: UpdateRequest, *, is_deploy: bool
) -> list[TrafficShare]:
    """Return where the requests go after a patch."""
    if "traffic" not in patch.model_fields_set:
        return traffic.after_deploy(row.shares, row.newest_ready) if is_deploy else row.shares
    shares = traffic.tidied(patch.traffic or traffic.all_to(LATEST))
    wanted = traffic.needed(shares, None)
    cursor = await connection.execute(
        _SQL["revision_names"], {"org_id": row.org_id, "id": row.id, "names": list(wanted)}
    )
    if unknown := sorted(wanted - {name for (name,) in await cursor.fetchall()}):
        raise InvalidField(f"revision {unknown[0]} is not one of {row.name}", field="revision")
    return shares


async def mark_deleting(
    db: Database, org_id: UUID, id_or_name: str, by: str, *, if_match: int | None = None
) -> ServiceRow:
    """Let a service go; one that is going already is returned as it is.

    Raises NotFound or PreconditionFailed.
    """
    async with db.tenant(org_id) as connection:
        row = await _lock(connection, org_id, id_or_name)
        require_generation(row, if_match)
        return await _one(connection, "mark_deleting", org_id, id=row.id, updated_by=by) or row


def require_generation(row: ServiceRow, wanted: int | None) -> None:
    """Raise PreconditionFailed when the caller wants to change another generation than the row's.

    `row` must be locked, so that the answer still holds when it is written.
    """
    if wanted not in (None, row.generation):
        raise PreconditionFailed(
            f"the service is at generation {row.generation}, not {wanted}: "
            "look at it again before you change it"
        )


def _settings(settings: ServiceSettings) -> dict[str, object]:
    values = {field: getattr(settings, field) for field in ServiceSettings.model_fields}
    return {
        field: Jsonb(value) if isinstance(value, list | dict) else value
        for field, value in values.items()
    }


def _validated(merged: dict[str, Any]) -> ServiceSettings:
    # Each field was checked when the patch was read; only rules over several can break here.
    try:
        return ServiceSettings.model_validate(merged)
    except ValueError as error:
        details = error.errors()[0]  # type: ignore[attr-defined]
        field = ".".join(str(part) for part in details["loc"])
        said = f"{field} {details['msg'].removeprefix('Value error, ')}".lstrip()
        # A rule over several fields opens its sentence with the one to change.
        raise InvalidField(said, field=field or said.partition(" ")[0]) from error


async def _lock(connection: AsyncConnection, org_id: UUID, id_or_name: str) -> ServiceRow:
    row = await _one(connection, "find_and_lock", org_id, **_key(id_or_name))
    if row is None:
        raise NotFound("no such service")
    return row


def _key(id_or_name: str) -> dict[str, object]:
    id = names.as_id(id_or_name)
    is_name = id is None and names.may_be_a_name(id_or_name)
    return {"id": id, "name": id_or_name if is_name else None}


async def _one(
    connection: AsyncConnection, statement: str, org_id: UUID, **values: object
) -> ServiceRow | None:
    cursor = connection.cursor(row_factory=service_row)
    await cursor.execute(_SQL[statement], {"org_id": org_id, **values})
    return await cursor.fetchone()

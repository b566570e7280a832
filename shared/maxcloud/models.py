"""What goes over the wire about services, their revisions and what became of them."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from pydantic import Field, model_validator

from maxcloud.bodies import Answer, Request
from maxcloud.fields import (
    Concurrency,
    Cpu,
    EnvPatch,
    EnvVars,
    Image,
    MaxScale,
    Memory,
    Name,
    Port,
    Scale,
    TimeoutSeconds,
    Words,
)
from maxcloud.traffic import Traffic, TrafficShare, TrafficTarget


class ServiceStatus(StrEnum):
    """Where a service's newest generation stands."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


class ServiceSettings(Request):
    """How a container runs; the defaults are the contract's.

    `port` 0 means the image's EXPOSE, else 8080. `concurrency` is requests per instance at a
    time, 0 without a limit. `cpu` and `memory` are Kubernetes quantities per instance,
    `timeout_seconds` bounds one request. `env_vars` are configuration, not secrets.
    """

    port: Port = 0
    command: Words = []
    args: Words = []
    env_vars: EnvVars = {}
    min_scale: Scale = 0
    max_scale: MaxScale = 10
    concurrency: Concurrency = 80
    cpu: Cpu = "1"
    memory: Memory = "512Mi"
    timeout_seconds: TimeoutSeconds = 300

    @model_validator(mode="after")
    def _min_is_within_max(self) -> Self:
        if self.min_scale > self.max_scale:
            raise ValueError("min_scale must not be greater than max_scale")
        return self


class Template(ServiceSettings):
    """What one revision runs: the settings with the port they came to, and the image's digest."""

    image: str


class DeployRequest(ServiceSettings):
    """A new service."""

    name: Name
    image: Image


class UpdateRequest(Request):
    """A JSON merge patch (RFC 7396): what is omitted stays, null means the default.

    `env_vars` is merged key by key, null deletes one; lists are replaced. Without `traffic`, a
    service that was rolled back sends all to its newest revision again.
    """

    # A factory, so that the description names no default that is no image.
    image: Image = Field(default_factory=str)
    port: Port | None = None
    command: Words | None = None
    args: Words | None = None
    env_vars: EnvPatch | None = None
    min_scale: Scale | None = None
    max_scale: MaxScale | None = None
    concurrency: Concurrency | None = None
    cpu: Cpu | None = None
    memory: Memory | None = None
    timeout_seconds: TimeoutSeconds | None = None
    traffic: Traffic | None = None


class Service(Answer):
    """A deployed service.

    `status` describes `generation`: pending until `observed_generation` reaches it. `reason` and
    `message` say why it is not ready. `failed` with a `ready_revision` still serves that one.
    """

    id: UUID
    org_id: UUID
    name: str
    image: str
    status: ServiceStatus
    reason: str
    message: str
    url: str
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
    generation: int
    observed_generation: int
    latest_revision: str | None
    ready_revision: str | None
    traffic: list[TrafficTarget]
    created_at: datetime
    updated_at: datetime

    @property
    def newest_ready(self) -> str | None:
        """The newest revision, when it is ready and no write is under way."""
        is_settled = self.observed_generation == self.generation
        is_ready = is_settled and self.latest_revision == self.ready_revision
        return self.latest_revision if is_ready else None

    @property
    def shares(self) -> list[TrafficShare]:
        """The traffic as it can be written back."""
        return [
            TrafficShare.model_construct(revision=each.revision, percent=each.percent, tag=each.tag)
            for each in self.traffic
        ]


class Revision(Answer):
    """One immutable state of a service's container.

    `traffic` is its percentage, `ready_at` when it first could serve, null when it never could.
    """

    id: UUID
    service_id: UUID
    name: str
    image: str
    digest: str
    traffic: int
    created_at: datetime
    created_by: str
    ready_at: datetime | None = None


class ServiceEvent(Answer):
    """Something that became of a service: its status and reason since `at`.

    `by` wrote the generation that it is about.
    """

    at: datetime
    generation: int
    status: ServiceStatus
    reason: str
    message: str
    by: str


def merge(current: ServiceSettings, patch: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that a merge patch makes of `current`, not yet validated.

    `patch` holds what the caller sent and nothing else; null brings back the default.
    """
    merged = current.model_dump()
    for field, value in patch.items():
        if field == "env_vars" and value is not None:
            both = {**merged["env_vars"], **value}
            merged["env_vars"] = {key: text for key, text in both.items() if text is not None}
        elif value is None:
            default = ServiceSettings.model_fields[field].get_default(call_default_factory=True)
            merged[field] = default
        else:
            merged[field] = value
    return merged

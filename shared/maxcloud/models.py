"""What goes over the wire: the requests and answers of the HTTP API.

Requests refuse unknown fields, so that a misspelt one never passes in silence. Answers ignore
them, so that a client one minor version older than the API works on. Each is built at its first
use: a cold start pays for what the request needs, not for all of them.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from maxcloud import names

ENV_KEYS_MAX = 100
ENV_BYTES_MAX = 32 * 1024


class Role(StrEnum):
    """What a key may do, most to least."""

    ADMIN = "admin"
    MEMBER = "member"
    DEPLOY = "deploy"
    READ = "read"

    def covers(self, least: "Role") -> bool:
        """Tell whether this role may do what asks for `least`."""
        ranks = list(Role)
        return ranks.index(self) <= ranks.index(least)


class ServiceStatus(StrEnum):
    """Where a service's newest generation stands."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


def _name(value: str) -> str:
    if wrong := names.why_not_a_name(value):
        raise ValueError(wrong)
    return value


def _text(value: str) -> str:
    # PostgreSQL keeps no NUL in text, and neither do an argv or an environment.
    if "\x00" in value:
        raise ValueError("must not contain a NUL character")
    return value


# The grammar of the OCI distribution specification (and of distribution/reference).
_IMAGE = re.compile(
    r"^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
    r"(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*(?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
    r"(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?\Z",
    re.ASCII,
)


def _image(value: str) -> str:
    if not _IMAGE.match(value):
        raise ValueError(
            "must be an image reference such as nginx:1.29 or registry.example.com/team/app:v2"
        )
    return value


def _port(value: int) -> int:
    if value in names.RESERVED_PORTS:
        raise ValueError(f"{value} is used by the platform inside every instance; choose another")
    return value


_ENV_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)


def _env_key(key: str) -> str:
    if not _ENV_KEY.match(key):
        raise ValueError("must be letters, digits and underscores, not starting with a digit")
    if key == "PORT" or key.startswith("K_"):
        raise ValueError("is set by the platform and cannot be chosen")
    return key


def check_env_vars(env: "dict[str, str]") -> "dict[str, str]":
    """Return `env` when it is within the limits, else raise ValueError saying which it breaks."""
    if len(env) > ENV_KEYS_MAX:
        raise ValueError(f"must have at most {ENV_KEYS_MAX} variables")
    if sum(len(value.encode()) for value in env.values()) > ENV_BYTES_MAX:
        raise ValueError(f"values must have at most {ENV_BYTES_MAX} bytes in all")
    return env


_CPU = re.compile(r"(?:[1-9][0-9]{0,5}m|[0-9]{1,3}(?:\.[0-9]{1,3})?)\Z", re.ASCII)
_MEMORY = re.compile(r"[1-9][0-9]{0,11}(?:Ki|Mi|Gi|k|M|G)?\Z", re.ASCII)
_MEMORY_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9, "": 1}


def _cpu(value: str) -> str:
    if not _CPU.match(value):
        raise ValueError("must be CPUs such as 1, 0.5 or 250m")
    cpus = int(value[:-1]) / 1000 if value.endswith("m") else float(value)
    if not 0.01 <= cpus <= 64:  # noqa: PLR2004 - the sentence below names both
        raise ValueError("must be between 10m and 64 CPUs")
    return value


def _memory(value: str) -> str:
    if not _MEMORY.match(value):
        raise ValueError("must be an amount such as 512Mi or 1Gi")
    number = value.rstrip("KMGik")
    size = int(number) * _MEMORY_UNITS[value[len(number) :]]
    if not 16 * 2**20 <= size <= 256 * 2**30:
        raise ValueError("must be between 16Mi and 256Gi")
    return value


Name = Annotated[
    str,
    AfterValidator(_name),
    Field(json_schema_extra={"pattern": names.NAME_PATTERN, "maxLength": names.NAME_MAX}),
]
Text = Annotated[str, AfterValidator(_text), StringConstraints(max_length=32 * 1024)]
Image = Annotated[str, StringConstraints(max_length=512), AfterValidator(_image)]
Port = Annotated[int, Field(ge=0, le=65535), AfterValidator(_port)]
Words = Annotated[list[Text], Field(max_length=256)]
EnvKey = Annotated[str, StringConstraints(max_length=256), AfterValidator(_env_key)]
Scale = Annotated[int, Field(ge=0, le=1000)]
MaxScale = Annotated[int, Field(ge=1, le=1000)]
Concurrency = Annotated[int, Field(ge=0, le=1000)]
Cpu = Annotated[str, AfterValidator(_cpu)]
Memory = Annotated[str, AfterValidator(_memory)]
TimeoutSeconds = Annotated[int, Field(ge=1, le=600)]


class Request(BaseModel):
    """A body that a caller sends: strict types, no unknown field."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class Answer(BaseModel):
    """A body that the API sends."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class ServiceSettings(Request):
    """How a container runs; the defaults are the contract's.

    `port` 0 means the image's EXPOSE, else 8080. `concurrency` is requests per instance at a
    time, 0 without a limit. `cpu` and `memory` are Kubernetes quantities per instance,
    `timeout_seconds` bounds one request. `env_vars` are configuration, not secrets.
    """

    port: Port = 0
    command: Words = []
    args: Words = []
    env_vars: Annotated[dict[EnvKey, Text], AfterValidator(check_env_vars)] = {}
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

    `env_vars` is merged key by key, null deletes one; lists are replaced.
    """

    image: Image = ""
    port: Port | None = None
    command: Words | None = None
    args: Words | None = None
    env_vars: dict[EnvKey, Text | None] | None = None
    min_scale: Scale | None = None
    max_scale: MaxScale | None = None
    concurrency: Concurrency | None = None
    cpu: Cpu | None = None
    memory: Memory | None = None
    timeout_seconds: TimeoutSeconds | None = None


class TrafficTarget(Answer):
    """A share of a service's requests; `revision` is a name or `latest`."""

    revision: str
    percent: int
    tag: str | None = None
    url: str | None = None


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


class Revision(Answer):
    """One immutable state of a service's container; `traffic` is its percentage."""

    id: UUID
    service_id: UUID
    name: str
    image: str
    digest: str
    traffic: int
    created_at: datetime
    created_by: str


class ServiceHint(Answer):
    """The data of every event about a service: which row to look at."""

    id: UUID
    org_id: UUID
    name: str | None = None
    generation: int | None = None
    revision: str | None = None
    reason: str | None = None


class Health(Answer):
    """The answer of /healthz."""

    status: str


class Readiness(Answer):
    """The answer of /readyz when all is well; else it is refused, naming what is down."""

    status: str


class Version(Answer):
    """What runs here: a semantic version and the source's commit."""

    version: str
    commit: str


class ErrorBody(Answer):
    """Every refusal, whatever the route."""

    error: str
    code: str
    request_id: str
    field: str | None = None


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

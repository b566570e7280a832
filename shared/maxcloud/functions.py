"""One of the platform's own functions, as the cluster has it. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Revision:
    """What one revision of a function runs; `generation` is Knative's number of it."""

    generation: int
    name: str
    image: str
    digest: str
    template: dict[str, Any]
    created_at: datetime
    is_ready: bool


@dataclass(frozen=True, slots=True)
class Function:
    """A function as the cluster has it.

    `revisions` are those that it names, the newest last. `made_at` and `version` tell when its
    object was made and which resourceVersion was looked at.
    """

    name: str
    revisions: tuple[Revision, ...]
    traffic: tuple[dict[str, Any], ...]
    status: str
    reason: str
    message: str
    ready_revision: str | None
    made_at: datetime
    version: int

"""What events carry: the name of a row, and at most a hint of what became of it."""

from uuid import UUID

from maxcloud.bodies import Answer


class Hint(Answer):
    """The data of every event: which row to look at."""

    id: UUID
    org_id: UUID


class ServiceHint(Hint):
    """The data of every event about a service."""

    name: str | None = None
    generation: int | None = None
    revision: str | None = None
    reason: str | None = None


class ImageHint(Hint):
    """The data of an event about a tag: `generation` counts the builds that it led to."""

    name: str
    generation: int

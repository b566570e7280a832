"""What goes over the wire about the private registry: its images, and tokens for it."""

from datetime import datetime

from maxcloud.models import Answer, Hint


class RegistryTokenResponse(Answer):
    """A token for the registry, under the names that both token flows know it by.

    It is good for `expires_in` seconds from `issued_at`.
    """

    token: str
    access_token: str
    expires_in: int
    issued_at: datetime


class Image(Answer):
    """One build in the registry and all tags that lead to it; `name` is within the organisation.

    A tag `maxcloud.<revision>` is ours: it keeps what a revision runs.
    """

    name: str
    tags: list[str]
    digest: str
    size_bytes: int
    created_at: datetime


class ImageHint(Hint):
    """The data of an event about a tag: `generation` counts the builds that it led to."""

    name: str
    generation: int

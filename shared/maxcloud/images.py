"""What goes over the wire about the private registry: its images, and tokens for it."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from maxcloud.bodies import Answer

_SCOPE = (
    "What the token is for, such as `repository:{org_id}/{name}:pull,push`, or several with blanks "
    "between them; what may not be is left out."
)


class RegistryTokenQuery(BaseModel):
    """What Docker and its like ask for a token with; what they say besides is passed over.

    Source: the distribution project's "Token Authentication Specification".
    """

    model_config = ConfigDict(extra="ignore", defer_build=True)

    scope: Annotated[list[str], Field(description=_SCOPE)] = []


class RegistryTokenForm(BaseModel):
    """What containerd and BuildKit ask for a token with; what they say besides is passed over.

    Source: the distribution project's "OAuth 2.0 Token Authentication"; nothing comes twice (RFC
    6749, section 3.2).
    """

    model_config = ConfigDict(extra="ignore", defer_build=True)

    grant_type: Literal["password"]
    password: Annotated[str, Field(description="The API key, whatever the user's name.")] = ""
    scope: Annotated[str, Field(description=_SCOPE)] = ""


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

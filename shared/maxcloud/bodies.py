"""What all requests and answers keep to, whatever they are about.

Requests refuse unknown fields, so that a misspelt one never passes in silence. Answers ignore
them, so that a client one minor version older than the API works on. Each is built at its first
use: a cold start pays for what the request needs, not for all of them.
"""

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    """A body that a caller sends: strict types, no unknown field."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class Answer(BaseModel):
    """A body that the API sends."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

"""What the platform says of itself: whether it is up, what it runs, and that it refuses."""

from maxcloud.bodies import Answer


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

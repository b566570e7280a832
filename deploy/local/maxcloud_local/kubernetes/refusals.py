"""What the API says when it refuses: Kubernetes' `Status` objects."""

from maxcloud.errors import MaxCloudError
from maxcloud_local.kinds import Kind
from maxcloud_local.store import Invalid, Object

# k8s.io/apimachinery/pkg/apis/meta/v1/types.go, StatusReason
_CODES = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "AlreadyExists": 409,
    "Conflict": 409,
    "Expired": 410,
    "RequestEntityTooLarge": 413,
    "UnsupportedMediaType": 415,
    "Invalid": 422,
    "InternalError": 500,
}


class Refused(MaxCloudError):
    """A request that is not answered; the subclass is called as Kubernetes calls the reason."""


class BadRequest(Refused):
    """The request cannot be understood."""


class Unauthorized(Refused):
    """Not the engine's token."""


class MethodNotAllowed(Refused):
    """The path exists, the method does not."""


class NotAcceptable(Refused):
    """The client takes none of the forms there are."""


class RequestEntityTooLarge(Refused):
    """The body is larger than an object may be."""


class UnsupportedMediaType(Refused):
    """The body is of a type that is not read here."""


class InternalError(Refused):
    """A mistake of ours."""


def status_of(error: MaxCloudError) -> Object:
    """Return the `Status` of a refusal, one of the above or the store's."""
    reason = type(error).__name__
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": str(error),
        "reason": reason,
        "code": _CODES[reason],
    }


def invalid(kind: Kind, name: str, said: str) -> Invalid:
    """Return the refusal of an object, worded as Kubernetes does it."""
    full = f"{kind.name}.{kind.group}" if kind.group else kind.name
    return Invalid(f'{full} "{name}" is invalid: {said}')

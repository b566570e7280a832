"""Every error of max-cloud: one name, one stable code, one HTTP status.

MaxCloudError
├── APIError                     what a request can answer; the client raises the same class again
│   ├── MalformedRequest        400  malformed
│   ├── InvalidField            400  invalid_field  (field says which)
│   ├── InvalidToken            400  invalid_token
│   │   ├── TokenExpired        400  token_expired
│   │   ├── InvitationUsed      400  invitation_used
│   │   └── InvitationRevoked   400  invitation_revoked
│   ├── Unauthenticated         401  unauthenticated
│   ├── Forbidden               403  forbidden
│   │   ├── EmailUnverified     403  email_unverified
│   │   └── RegistrationClosed  403  registration_closed
│   ├── NotFound                404  not_found
│   ├── MethodNotAllowed        405  method_not_allowed
│   ├── NotAcceptable           406  not_acceptable
│   ├── Conflict                409  conflict
│   │   ├── NameTaken           409  name_taken
│   │   ├── EmailTaken          409  email_taken
│   │   ├── OrganizationTaken   409  organization_taken
│   │   ├── AlreadyMember       409  already_member
│   │   ├── LastAdminKey        409  last_admin_key
│   │   ├── ImageInUse          409  image_in_use
│   │   ├── ServiceDeleting     409  service_deleting
│   │   └── KeyReused           409  idempotency_key_reused
│   ├── PreconditionFailed      412  precondition_failed
│   ├── PayloadTooLarge         413  payload_too_large
│   ├── UnsupportedMedia        415  unsupported_media_type
│   ├── TooManyRequests         429  too_many_requests
│   ├── InternalError           500  internal
│   └── Unavailable             503  unavailable
├── TemporaryError               an event handler says: deliver it again later (503)
├── PermanentError               an event handler says: no repetition helps (400, dead letter)
├── ConfigError                  a variable that a function cannot start with
└── EngineError                  why the local engine cannot start
"""

from typing import ClassVar


class MaxCloudError(Exception):
    """The root; never raised itself."""


class APIError(MaxCloudError):
    """A refused request.

    `code` is the stable word that scripts rely on, `status_code` the HTTP status, `message` one
    sentence a user can act on, `field` the path of the field it is about, `request_id` the
    identifier an operator finds in the logs (set by the client). `challenge` says how to
    authenticate, where that is what is missing.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    challenge: str | None = None

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        request_id: str | None = None,
        retry_after: int | None = None,
        status_code: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.request_id = request_id
        self.retry_after = retry_after
        self.status_code = status_code or self.status
        self.error_code = code or self.code

    @classmethod
    def for_answer(cls, status_code: int, code: str, message: str, **details: object) -> "APIError":
        """Return the error of this `code`, or of this status where the code is not known here."""
        by_code = {leaf.code: leaf for leaf in _leaves(cls)}
        by_status = {leaf.status: leaf for leaf in reversed(list(_leaves(cls)))}
        leaf = by_code.get(code) or by_status.get(status_code, cls)
        return leaf(message, status_code=status_code, code=code, **details)  # type: ignore[arg-type]


class MalformedRequest(APIError):
    """The request is not what the protocol or JSON asks for."""

    code, status = "malformed", 400


class InvalidField(APIError):
    """A field breaks a rule; `field` names it."""

    code, status = "invalid_field", 400


class InvalidToken(APIError):
    """A token from a mail that is none of ours, or not for this."""

    code, status = "invalid_token", 400


class TokenExpired(InvalidToken):
    """A token of ours whose time is over."""

    code = "token_expired"


class InvitationUsed(InvalidToken):
    """The invitation was accepted before."""

    code = "invitation_used"


class InvitationRevoked(InvalidToken):
    """The invitation was taken back, or a newer one took its place."""

    code = "invitation_revoked"


class Unauthenticated(APIError):
    """No credential, or one that is not known."""

    code, status = "unauthenticated", 401
    challenge = 'Bearer realm="maxcloud"'


class Forbidden(APIError):
    """The credential's role does not reach this far."""

    code, status = "forbidden", 403


class EmailUnverified(Forbidden):
    """The caller's address is not proven yet, and the installation asks for that."""

    code = "email_unverified"


class RegistrationClosed(Forbidden):
    """This installation takes new organisations by invitation of its operator only."""

    code = "registration_closed"


class NotFound(APIError):
    """Nothing of that name in the caller's organisation."""

    code, status = "not_found", 404


class MethodNotAllowed(APIError):
    """The path exists, the method does not."""

    code, status = "method_not_allowed", 405


class NotAcceptable(APIError):
    """The caller does not accept the one form there is."""

    code, status = "not_acceptable", 406


class Conflict(APIError):
    """The request contradicts what is there."""

    code, status = "conflict", 409


class NameTaken(Conflict):
    """The name is a host name, and somebody has it."""

    code = "name_taken"


class EmailTaken(Conflict):
    """The address has an account already."""

    code = "email_taken"


class OrganizationTaken(Conflict):
    """Another organisation has this name."""

    code = "organization_taken"


class AlreadyMember(Conflict):
    """The person is a member of the organisation already."""

    code = "already_member"


class LastAdminKey(Conflict):
    """The organisation would be left without a key that may do everything."""

    code = "last_admin_key"


class ImageInUse(Conflict):
    """Requests reach a revision that runs the image."""

    code = "image_in_use"


class ServiceDeleting(Conflict):
    """The service is on its way out and takes no more changes."""

    code = "service_deleting"


class KeyReused(Conflict):
    """The Idempotency-Key came with another request before."""

    code = "idempotency_key_reused"


class PreconditionFailed(APIError):
    """If-Match names another generation than the one there is."""

    code, status = "precondition_failed", 412


class PayloadTooLarge(APIError):
    """The body is larger than a request may be."""

    code, status = "payload_too_large", 413


class UnsupportedMedia(APIError):
    """The body is of another type than JSON."""

    code, status = "unsupported_media_type", 415


class TooManyRequests(APIError):
    """Too often; `retry_after` seconds say when it is worth another try."""

    code, status = "too_many_requests", 429


class InternalError(APIError):
    """A mistake of ours; the request id finds it in the logs."""

    code, status = "internal", 500


class Unavailable(APIError):
    """Something the platform depends on is away; `retry_after` seconds say when to try again."""

    code, status = "unavailable", 503


class TemporaryError(MaxCloudError):
    """The world is not ready for this event: deliver it again later."""


class PermanentError(MaxCloudError):
    """This event can never be handled: put it with the dead letters."""


class ConfigError(MaxCloudError):
    """A variable that cannot be parsed or is missing; the message names it."""


class EngineError(MaxCloudError):
    """The local engine cannot start here; the message says why and what to do."""


def codes() -> list[str]:
    """Return every code that a refused request can carry."""
    # The client has a class of its own for answers that are none of ours.
    return sorted({leaf.code for leaf in _leaves(APIError) if leaf.__module__ == __name__})


def _leaves(cls: type[APIError]) -> "list[type[APIError]]":
    return [leaf for child in cls.__subclasses__() for leaf in (child, *_leaves(child))]

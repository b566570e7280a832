"""What goes over the wire about people: organisations, keys and invitations."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from maxcloud.bodies import Answer, Request
from maxcloud.fields import EmailAddress, Title
from maxcloud.roles import Role

KEY_DAYS_MAX = 3650


def _membership(role: Role) -> Role:
    if role not in {Role.ADMIN, Role.MEMBER}:
        raise ValueError("must be admin or member")
    return role


# What a person is in an organisation; a key of theirs may have a lesser role.
MembershipRole = Annotated[
    Role, AfterValidator(_membership), Field(json_schema_extra={"enum": ["admin", "member"]})
]


class InvitationStatus(StrEnum):
    """What became of an invitation."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    REVOKED = "revoked"


class User(Answer):
    """A person, known by an address."""

    id: UUID
    email: str
    created_at: datetime


class Organization(Answer):
    """Who owns services; its members see the same."""

    id: UUID
    name: str
    created_at: datetime


class RegisterRequest(Request):
    """A new organisation and its first admin."""

    email: EmailAddress
    org_name: Title


class RegisterResponse(Answer):
    """What was made; the key is shown this once."""

    user: User
    organization: Organization
    api_key: str


class VerifyRequest(Request):
    """The token from the mail that was sent after registering."""

    token: Annotated[str, Field(max_length=4096)]


class CreateAPIKeyRequest(Request):
    """A new key; its role is at most the caller's, which is the default."""

    name: Title
    role: Role | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=KEY_DAYS_MAX)] | None = None


class APIKeyInfo(Answer):
    """What is known of a key; `prefix` is how the key begins."""

    id: UUID
    prefix: str
    name: str
    role: Role
    org_id: UUID
    user_id: UUID
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class CreateAPIKeyResponse(Answer):
    """The key, shown this once, and what will be known of it."""

    api_key: str
    info: APIKeyInfo


class AuthInfo(Answer):
    """Who the caller is; `verified` tells whether their address is proven."""

    user: User
    organization: Organization
    role: Role
    verified: bool


class InviteRequest(Request):
    """Whom to ask into the organisation, and as what."""

    email: EmailAddress
    role: MembershipRole = Role.MEMBER


class Invitation(Answer):
    """An invitation; `mail_error` says why its mail could not be sent."""

    id: UUID
    org_id: UUID
    org_name: str
    email: str
    role: Role
    status: InvitationStatus
    invited_by: str
    expires_at: datetime
    created_at: datetime
    mail_error: str | None = None


class InviteResponse(Answer):
    """The invitation; the token goes by mail, and only in DEV_MODE stands here too."""

    invitation: Invitation
    token: str | None = None


class AcceptInviteRequest(Request):
    """The token from the mail of the invitation."""

    token: Annotated[str, Field(max_length=4096)]


class AcceptInviteResponse(Answer):
    """The membership, and a key for it that is shown this once."""

    user: User
    organization: Organization
    role: Role
    api_key: str

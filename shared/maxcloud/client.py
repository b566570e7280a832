"""The public client of the max-cloud API: synchronous, typed, one method per thing to do.

    with Client("https://api.maxcloud.dev", api_key=key) as cloud:
        service = cloud.deploy(DeployRequest(name="shop", image="nginx:1.29"))

A refusal is raised as the `maxcloud.errors.APIError` subclass of its code, so callers tell errors
apart by class. Where no answer came at all:

MaxCloudError
├── InvalidSetting     an address or a key that no request can be sent with
└── ConnectionFailed   no connection, so nothing was asked
    └── NoAnswer       asked, and the answer was lost: a write may have taken effect

and `NotTheAPI`, an APIError, where the answer is none of ours.
"""

from collections.abc import Iterator, Sequence
from urllib.parse import quote, urlencode

from maxcloud import following
from maxcloud.accounts import (
    AcceptInviteRequest,
    AcceptInviteResponse,
    APIKeyInfo,
    AuthInfo,
    CreateAPIKeyRequest,
    CreateAPIKeyResponse,
    Invitation,
    InviteRequest,
    InviteResponse,
    RegisterRequest,
    RegisterResponse,
    VerifyRequest,
)
from maxcloud.bodies import Request
from maxcloud.connection import (
    Connection,
    ConnectionFailed,
    InvalidSetting,
    NoAnswer,
    NotTheAPI,
)
from maxcloud.errors import NotFound, TooManyRequests, Unavailable
from maxcloud.following import LogEvent
from maxcloud.images import Image, RegistryTokenResponse
from maxcloud.instances import Instance, LogEntry
from maxcloud.models import DeployRequest, Revision, Service, ServiceEvent, UpdateRequest
from maxcloud.traffic import TrafficRequest, TrafficShare

__all__ = ["Client", "ConnectionFailed", "InvalidSetting", "NoAnswer", "NotTheAPI"]

_SERVICES, _LOGS = "/api/v1/services", "/api/v1/logs"
_AUTH, _REGISTRY = "/api/v1/auth", "/api/v1/registry"

# For how long a stream that was lost is sought.
FOLLOW_SECONDS = 300.0


class Client(Connection):
    """All that can be asked of the API, on one connection."""

    def deploy(self, request: DeployRequest, idempotency_key: str | None = None) -> Service:
        """Create a service and return it `pending`; NameTaken when somebody has the name.

        Calls with the same key and request create one service and return the same within 24
        hours, KeyReused when the requests differ. By default each call has a key of its own.
        """
        body = request.model_dump_json(exclude_unset=True)
        return self._read(Service, self._post(_SERVICES, body, idempotency_key))

    def update(
        self, id_or_name: str, request: UpdateRequest, *, if_match: int | None = None
    ) -> Service:
        """Change the fields that are set in `request`, leave the others, return the service.

        With `if_match`, a generation, PreconditionFailed when the service is at another one.
        """
        body = request.model_dump_json(exclude_unset=True)
        headers = {"Content-Type": "application/merge-patch+json", **_if_match(if_match)}
        return self._read(Service, self._send("PATCH", _service_path(id_or_name), body, headers))

    def list_services(self) -> list[Service]:
        """Return all services of the organisation."""
        return self._all_pages(Service, _SERVICES)

    def get_service(self, id_or_name: str) -> Service:
        """Return one service; NotFound when the organisation has none of this id or name."""
        return self._read(Service, self._send("GET", _service_path(id_or_name)))

    def delete_service(self, id_or_name: str, *, if_match: int | None = None) -> None:
        """Start a service's deletion; `get_service` shows `deleting`, then raises NotFound.

        `if_match` is as in `update`.
        """
        self._send("DELETE", _service_path(id_or_name), headers=_if_match(if_match))

    def revisions(self, id_or_name: str) -> list[Revision]:
        """Return a service's revisions, newest first."""
        return self._all_pages(Revision, _service_path(id_or_name) + "/revisions")

    def service_events(self, id_or_name: str) -> list[ServiceEvent]:
        """Return what became of a service, newest first; the newest hundred are kept."""
        return self._all_pages(ServiceEvent, _service_path(id_or_name) + "/events")

    def set_traffic(
        self, id_or_name: str, shares: Sequence[TrafficShare], *, if_match: int | None = None
    ) -> Service:
        """Say which revisions get how much of the requests, 100 in all.

        `if_match` is as in `update`.
        """
        body = TrafficRequest.model_construct(list(shares)).model_dump_json(exclude_none=True)
        path = _service_path(id_or_name) + "/traffic"
        return self._read(Service, self._send("PUT", path, body, _if_match(if_match)))

    def stream_logs(
        self,
        id_or_name: str,
        follow: bool = False,
        tail: int | None = None,
        since: str | None = None,
        revision: str | None = None,
    ) -> Iterator[LogEntry]:
        """Yield what a service's instances wrote, by time; with `follow` also what they write.

        The last 100 lines, or `tail`; `since` is a duration such as "10m" or a time in RFC 3339.
        A connection that is lost is made again, and nothing comes twice.
        """
        for event in self.log_events(id_or_name, follow, tail, since, revision):
            if isinstance(event, LogEntry):
                yield event

    def log_events(
        self,
        id_or_name: str,
        follow: bool = False,
        tail: int | None = None,
        since: str | None = None,
        revision: str | None = None,
    ) -> Iterator[LogEvent]:
        """Yield the same, and the instances as they come and go, and that a connection is lost."""
        asked = {"tail": tail, "since": since, "revision": revision}
        query = {name: str(value) for name, value in asked.items() if value is not None}
        query |= {"follow": "true"} if follow else {}
        at_first = (NoAnswer, Unavailable, TooManyRequests)
        later = (ConnectionFailed, Unavailable, TooManyRequests)
        return following.follow(
            lambda last_id: self._events(_below(_LOGS, id_or_name, "service"), query, last_id),
            *(at_first, later, FOLLOW_SECONDS if follow else self._timeout),
        )

    def instances(self, id_or_name: str) -> list[Instance]:
        """Return a service's instances of now."""
        return [each for each in self.log_events(id_or_name, tail=0) if isinstance(each, Instance)]

    def register(self, request: RegisterRequest) -> RegisterResponse:
        """Make an organisation; EmailTaken and OrganizationTaken when somebody has the name."""
        return self._read(RegisterResponse, self._send("POST", f"{_AUTH}/register", _json(request)))

    def verify(self, token: str) -> None:
        """Prove an address by the token that was mailed to it; InvalidToken when it is none."""
        self._send("POST", f"{_AUTH}/verify", _json(VerifyRequest(token=token)))

    def auth_status(self) -> AuthInfo:
        """Return whose key this client has, and in which organisation."""
        return self._read(AuthInfo, self._send("GET", f"{_AUTH}/status"))

    def create_api_key(self, request: CreateAPIKeyRequest) -> CreateAPIKeyResponse:
        """Make another key; the answer has it, and nothing afterwards."""
        answer = self._send("POST", f"{_AUTH}/api-keys", _json(request))
        return self._read(CreateAPIKeyResponse, answer)

    def list_api_keys(self) -> list[APIKeyInfo]:
        """Return the caller's keys, for an admin the organisation's."""
        return self._all_pages(APIKeyInfo, f"{_AUTH}/api-keys")

    def delete_api_key(self, id: str, *, force: bool = False) -> None:
        """Revoke a key at once; LastAdminKey for the last one that may do all, unless `force`."""
        path = _below(f"{_AUTH}/api-keys", id, "API key")
        self._send("DELETE", f"{path}?force=true" if force else path)

    def create_invite(self, request: InviteRequest) -> InviteResponse:
        """Invite an address; AlreadyMember when it is a member's."""
        answer = self._post(f"{_AUTH}/invites", _json(request), None)
        return self._read(InviteResponse, answer)

    def list_invites(self) -> list[Invitation]:
        """Return the organisation's invitations, newest first."""
        return self._all_pages(Invitation, f"{_AUTH}/invites")

    def revoke_invite(self, id: str) -> None:
        """Take an invitation back; Conflict when it was accepted already."""
        self._send("DELETE", _below(f"{_AUTH}/invites", id, "invitation"))

    def accept_invite(self, token: str) -> AcceptInviteResponse:
        """Become a member by the token that was mailed; InvalidToken when it is none."""
        body = _json(AcceptInviteRequest(token=token))
        return self._read(AcceptInviteResponse, self._send("POST", f"{_AUTH}/accept-invite", body))

    def get_registry_token(self, *scopes: str) -> RegistryTokenResponse:
        """Return a token for the registry, for as much of the scopes as the key may do.

        A scope is `repository:{org_id}/{name}:pull,push`. Nothing granted is no error.
        """
        query = urlencode([("scope", scope) for scope in scopes])
        answer = self._send("GET", f"{_REGISTRY}/token?{query}")
        return self._read(RegistryTokenResponse, answer)

    def list_images(self) -> list[Image]:
        """Return the organisation's images in the registry, by name, the newest first."""
        return self._all_pages(Image, f"{_REGISTRY}/images")

    def delete_image_tag(self, name: str, tag: str) -> None:
        """Delete a tag; ImageInUse while a revision that is kept runs what it leads to."""
        path = _below(f"{_REGISTRY}/images", name, "image", parts="/")
        self._send("DELETE", _below(f"{path}/tags", tag, "tag"))


def _service_path(id_or_name: str) -> str:
    return _below(_SERVICES, id_or_name, "service")


def _below(collection: str, id: str, what: str, parts: str = "") -> str:
    # An empty or dotted segment would name another route.
    if not all(part.strip(".") for part in (id.split(parts) if parts else [id])):
        raise NotFound(f"there is no {what} {id!r}")
    return f"{collection}/{quote(id, safe=parts)}"


def _json(request: Request) -> str:
    return request.model_dump_json(exclude_unset=True)


def _if_match(generation: int | None) -> dict[str, str]:
    return {} if generation is None else {"If-Match": f'"{generation}"'}

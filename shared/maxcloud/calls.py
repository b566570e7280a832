"""One request or event on its way through a function."""

from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from uuid import UUID

from starlette.background import BackgroundTasks
from starlette.requests import Request

from maxcloud import events
from maxcloud.auth import Identity
from maxcloud.config import Config
from maxcloud.hints import Hint
from maxcloud.store.database import Database

Address = IPv4Address | IPv6Address


@dataclass
class Call:
    """One request or event on its way: who asks, and what its handler may use."""

    request: Request
    config: Config
    db: Database
    function: str
    identity: Identity | None = None
    later: BackgroundTasks = field(default_factory=BackgroundTasks)

    @property
    def caller(self) -> Identity:
        """Who asks; only on a route with a role."""
        assert self.identity is not None  # noqa: S101 - a mistake in our own route table
        return self.identity

    @property
    def org_id(self) -> UUID:
        """The caller's organisation."""
        return self.caller.org_id

    @cached_property
    def client(self) -> Address | None:
        """Who connected to the gateway; None for a caller inside, who came around it.

        The gateway overwrites the header; X-Forwarded-For is what a client makes of it.
        """
        try:
            return ip_address(self.request.headers.get("x-maxcloud-client", ""))
        except ValueError:
            return None

    def parameter(self, name: str) -> str:
        """Return a part of the path, decoded."""
        return str(self.request.path_params[name])

    def hint(self, type: events.Type, hint: Hint) -> None:
        """Publish an event after the answer has gone out.

        The row is the outbox, so nobody needs to wait for the broker.
        """
        event = events.about(type, self.function, hint)
        self.later.add_task(
            events.publish, self.config.sink, event, patience=events.PATIENCE_SECONDS
        )

"""What an instance and its runtime say to each other: a process here, or a container."""

from dataclasses import dataclass, field
from typing import Protocol

from maxcloud.errors import MaxCloudError
from maxcloud_local.logs import Log
from maxcloud_local.store import Object


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an instance cannot become ready, in Knative's words: ("ExitCode3", its last output)."""

    reason: str
    message: str


class CannotStart(MaxCloudError):
    """Nothing was started; the reason is a word of Knative's or the kubelet's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(reason, message)


@dataclass(frozen=True, slots=True)
class Job:
    """One start: `container` is the revision's, `env` what all of its variables come to.

    `has_token` says whether it may have the credential of its service account, `auths` what its
    image may be pulled with, by host, as Docker's configuration has it.
    """

    namespace: str
    pod: str
    container: Object
    env: dict[str, str]
    has_token: bool
    auths: Object = field(default_factory=dict)

    @property
    def image(self) -> str:
        """Which image the revision names."""
        return str(self.container["image"])


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended; `message` is told in place of the last output."""

    exit_code: int
    reason: str
    message: str = ""


class Running(Protocol):
    """What was started. `is_proxied`: somebody else accepts connections before it does."""

    address: str
    is_proxied: bool

    async def ended(self) -> Ended:
        """Wait for its end, by itself or not; what it held is given back then."""

    async def stop(self, grace: float) -> None:
        """End it: SIGTERM, and SIGKILL after `grace` seconds. Returns when nothing is left."""


class Runtime(Protocol):
    """Processes, or containers."""

    async def start(self, job: Job, log: Log) -> Running:
        """Start an instance whose output goes into `log`; raises CannotStart."""

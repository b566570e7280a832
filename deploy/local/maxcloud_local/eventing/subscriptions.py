"""What a Trigger asks for: which events, delivered to whom, and how often again. Pure.

Sources: knative.dev/eventing, pkg/apis/duck/v1/delivery_types.go and pkg/kncloudevents/retries.go.
"""

from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter, ValidationError

from maxcloud.errors import MaxCloudError
from maxcloud_local.eventing.filters import Matches, UnknownFilter, compiled
from maxcloud_local.kinds import SERVICE, kind_of
from maxcloud_local.store import Object

# Statuses below 500 after which a delivery is tried again: SelectiveRetry.
_PASSING = {404, 408, 409, 429}

_DURATION = TypeAdapter(timedelta)


class Unusable(MaxCloudError):
    """A Trigger asks for something that this engine does not do; the message says what."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A path of a Knative Service."""

    namespace: str
    service: str
    path: str

    @property
    def host(self) -> str:
        """The name that a cluster's DNS has for it."""
        return f"{self.service}.{self.namespace}.svc.cluster.local"

    @property
    def url(self) -> str:
        """Its address in a cluster."""
        return f"http://{self.host}{self.path}"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One Trigger, read. `timeout` and `backoff` are seconds; no `timeout` is None."""

    trigger: str
    matches: Matches
    subscriber: Destination
    dead_letters: Destination | None
    retries: int
    backoff: float
    is_exponential: bool
    timeout: float | None

    def pause(self, retry: int) -> float:
        """Return the seconds to wait before a retry; the first one is 0."""
        return self.backoff * (2**retry if self.is_exponential else retry)


def subscription(trigger: Object) -> Subscription:
    """Read a Trigger; raises Unusable."""
    try:
        return _read(trigger["metadata"], trigger["spec"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # No schema stands before the store.
        raise Unusable(f"the Trigger is malformed: {error!r}") from error


def outcome(status: int, body: bytes) -> int:
    """Return the status that an answer counts as.

    A success that says anything is a failure (502, broker/filter/filter_handler.go). An answer
    that is an event would be published again by Knative; nobody here uses that, so it fails too.
    """
    return HTTPStatus.BAD_GATEWAY if is_success(status) and body else status


def is_success(status: int) -> bool:
    """Tell whether a delivery is done."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def is_passing(status: int) -> bool:
    """Tell whether another try may help."""
    return status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _read(metadata: Object, spec: Object) -> Subscription:
    delivery, namespace = spec.get("delivery") or {}, metadata["namespace"]
    if spec.get("filter"):
        raise Unusable("the local engine knows a Trigger's filters, not its older filter")
    try:
        matches = compiled(spec.get("filters") or [])
    except UnknownFilter as error:
        raise Unusable(str(error)) from error
    policy = delivery.get("backoffPolicy")
    return Subscription(
        trigger=metadata["name"],
        matches=matches,
        subscriber=_destination(spec["subscriber"], namespace),
        dead_letters=(
            _destination(delivery["deadLetterSink"], namespace)
            if "deadLetterSink" in delivery
            else None
        ),
        retries=int(delivery.get("retry") or 0),
        # Knative waits only where both are said.
        backoff=_seconds(delivery.get("backoffDelay")) or 0 if policy else 0,
        is_exponential=policy == "exponential",
        timeout=_seconds(delivery.get("timeout")),
    )


def _destination(said: Object, namespace: str) -> Destination:
    ref: Any = said.get("ref") or {}
    if kind_of(ref.get("apiVersion", ""), ref.get("kind", "")) != SERVICE:
        raise Unusable("the local engine delivers to Knative Services: name one by ref")
    return Destination(
        ref.get("namespace") or namespace, ref["name"], "/" + (said.get("uri") or "").lstrip("/")
    )


def _seconds(duration: str | None) -> float | None:
    if duration is None:
        return None
    try:
        return _DURATION.validate_strings(duration).total_seconds()
    except ValidationError as error:
        raise Unusable(f"'{duration}' is no duration such as PT0.5S") from error

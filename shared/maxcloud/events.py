"""CloudEvents: what is said, how it is built, read and published.

An event names a row and says "look now". It carries no secret and no authority: the handler loads
the row and believes nothing else. This file alone knows the CloudEvents library and the broker.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

from cloudevents.conversion import to_binary
from cloudevents.exceptions import GenericException
from cloudevents.http import CloudEvent, from_http
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from maxcloud import log
from maxcloud.errors import PermanentError
from maxcloud.hints import Hint

if TYPE_CHECKING:
    import httpx

# How long a publisher waits for the broker; what it misses, the sweep says again.
PUBLISH_SECONDS = 5.0

# For how long a hint is said again while the broker is away: one that is replaced is back sooner.
PATIENCE_SECONDS = 5.0
PAUSE = 0.5

SCHEMAS = "https://maxcloud.dev/schemas"

Data = TypeVar("Data", bound=BaseModel)

_log = logging.getLogger(__name__)


class Type(StrEnum):
    """The types of events; eventing/README.md says who publishes and who listens."""

    DEPLOY_REQUESTED = "dev.maxcloud.deploy-requested"
    DELETE_REQUESTED = "dev.maxcloud.delete-requested"
    SERVICE_READY = "dev.maxcloud.service-ready"
    SERVICE_FAILED = "dev.maxcloud.service-failed"
    SERVICE_DELETED = "dev.maxcloud.service-deleted"
    INVITE_CREATED = "dev.maxcloud.invite-created"
    USER_REGISTERED = "dev.maxcloud.user-registered"
    ORG_CREATED = "dev.maxcloud.org-created"
    IMAGE_PUSHED = "dev.maxcloud.image-pushed"


# Knative's own: the timer, and what its ApiServerSource says of Kubernetes objects.
PING = "dev.knative.sources.ping"
CLUSTER_CHANGES = "dev.knative.apiserver.ref."


# RFC 1123, as Kubernetes has it: nothing else is ever an object's name, or asked of the database.
ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,252}$")]


class ObjectReference(BaseModel):
    """The data of ApiServerSource in mode Reference: which Kubernetes object to look at."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    kind: str
    name: ObjectName
    namespace: ObjectName


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvent as it was received, its data not yet believed."""

    id: str
    source: str
    type: str
    subject: str | None
    data: Any
    extensions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, headers: dict[str, str], body: bytes) -> Self:
        """Read an event in binary or structured mode; raises PermanentError when it is none."""
        try:
            event = from_http(headers, body)
        except (GenericException, RecursionError, TypeError, ValueError) as error:
            # The library reads JSON without asking what is in it.
            raise PermanentError(f"not a CloudEvent: {type(error).__name__}") from error
        known = {"id", "source", "type", "subject", "specversion", "time"}
        attributes = event.get_attributes()
        subject = attributes.get("subject")
        return cls(
            id=str(attributes["id"]),
            source=str(attributes["source"]),
            type=str(attributes["type"]),
            subject=None if subject is None else str(subject),
            data=event.get_data(),
            extensions={k: str(v) for k, v in attributes.items() if k not in known},
        )


def read_data(event: Event, model: type[Data]) -> Data:
    """Return an event's data as a model; raises PermanentError when it is something else."""
    try:
        if isinstance(event.data, str | bytes):
            return model.model_validate_json(event.data)
        return model.model_validate(event.data)
    except ValidationError as error:
        fields = sorted({".".join(map(str, detail["loc"])) for detail in error.errors()})
        raise PermanentError(f"{event.type}: malformed data: {', '.join(fields)}") from error


def about(type: Type, function: str, hint: Hint) -> CloudEvent:
    """Build an event about a row, published by `function`.

    The id is `{object}:{generation}:{type}`, so that the same hint is recognisably the same event;
    what never changes has the generation 1.
    """
    attributes = {
        "id": f"{hint.id}:{getattr(hint, 'generation', 1)}:{type}",
        "source": f"/maxcloud/{function}",
        "type": type.value,
        "subject": str(hint.id),
        "datacontenttype": "application/json",
        "dataschema": f"{SCHEMAS}/{type}.json",
        "orgid": str(hint.org_id),
    }
    if request := log.request_id.get():
        attributes["requestid"] = request
    return CloudEvent(attributes, hint.model_dump(mode="json", exclude_none=True))


async def broker_answers(sink: str | None) -> bool:
    """Tell whether the broker is there; a platform without one misses nothing."""
    if sink is None:
        return True
    import httpx

    try:
        async with _client(sink) as client:
            answer = await client.get(httpx.URL(sink).join("/healthz"))
    except httpx.HTTPError:
        return False
    return not answer.is_server_error


async def publish(sink: str | None, event: CloudEvent, patience: float = 0) -> bool:
    """Hand an event to the broker and tell whether it took it.

    A broker that is away is asked again, less and less often, for `patience` seconds. Never raises:
    an event is a hint, and the sweep repeats it from the row.
    """
    if sink is None:
        return False
    # Late, because a start would wait for httpx, and nobody waits for a hint.
    import httpx

    headers, body = to_binary(event)
    end, pause = time.monotonic() + patience, PAUSE
    async with _client(sink) as client:
        while True:
            try:
                answer = await client.post(sink, headers=headers, content=body)
                answer.raise_for_status()
                return True
            except (TimeoutError, httpx.HTTPError) as error:
                if time.monotonic() + pause > end:
                    fields = {"event_id": event["id"], "event_type": event["type"]}
                    _log.warning(
                        "broker did not take the event: %s", error, extra={"fields": fields}
                    )
                    return False
            await asyncio.sleep(pause)
            pause *= 2


def _client(sink: str) -> "httpx.AsyncClient":
    import httpx

    # Loading the authorities takes 30 ms; a broker inside the cluster is asked without TLS.
    encrypted = sink.startswith("https:")
    return httpx.AsyncClient(timeout=PUBLISH_SECONDS, trust_env=False, verify=encrypted)

"""What goes over the wire about the instances of a service, and what they write."""

from datetime import datetime
from enum import StrEnum

from maxcloud.bodies import Answer


class InstanceState(StrEnum):
    """Where an instance stands: `stopping` takes no requests any more, `gone` is no more."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    GONE = "gone"


class Instance(Answer):
    """One running copy of a service's container."""

    name: str
    revision: str
    state: InstanceState


class LogEntry(Answer):
    """One line that an instance wrote; `stream` is stdout where it cannot be told from stderr.

    A line of more than 16 KiB comes as several entries.
    """

    timestamp: datetime
    message: str
    stream: str
    revision: str
    instance: str

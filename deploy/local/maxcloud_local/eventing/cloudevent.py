"""One CloudEvent on its way through the broker, its data untouched. Pure.

Source: CloudEvents 1.0.2, the HTTP protocol binding and the JSON format.
"""

import base64
import binascii
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import quote, unquote

from maxcloud.errors import MaxCloudError

_PREFIX = "ce-"
_NAME = re.compile(r"[a-z0-9]+\Z")
_REQUIRED = ("id", "source", "type")

# Section 3.1.3.2: printable ASCII but the space, the quote and the percent sign stays as it is.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


class NoEvent(MaxCloudError):
    """What was sent is no CloudEvent; the message says why."""


@dataclass(frozen=True, slots=True)
class Event:
    """Attributes, extensions among them, and data as bytes of the type `datacontenttype`."""

    attributes: Mapping[str, str]
    data: bytes

    @classmethod
    def new(cls, attributes: Mapping[str, str], data: object = None) -> Self:
        """Make an event that happens now; `data` becomes JSON, None is no data."""
        made = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            **attributes,
        }
        if data is None:
            return cls(made, b"")
        return cls({**made, "datacontenttype": "application/json"}, json.dumps(data).encode())

    @classmethod
    def from_http(cls, headers: Mapping[str, str], body: bytes) -> Self:
        """Read a request in binary or structured mode; raises NoEvent."""
        content_type = next((v for k, v in headers.items() if k.lower() == "content-type"), "")
        if content_type.partition(";")[0].strip().lower() == "application/cloudevents+json":
            attributes, data = _structured(body)
        else:
            attributes, data = _binary(headers), body
            if content_type:
                attributes["datacontenttype"] = content_type
        if wrong := next((name for name in attributes if not _NAME.match(name)), None):
            raise NoEvent(f"'{wrong[:40]}' cannot be an attribute's name")
        if attributes.get("specversion") != "1.0":
            raise NoEvent("this is no CloudEvent of the version 1.0")
        if missing := next((name for name in _REQUIRED if not attributes.get(name)), None):
            raise NoEvent(f"the event has no {missing}")
        return cls(attributes, data)

    def to_http(self) -> tuple[dict[str, str], bytes]:
        """Return headers and body in binary mode."""
        headers = {
            _PREFIX + name: quote(value, safe=_PLAIN, errors="replace")
            for name, value in self.attributes.items()
            if name != "datacontenttype"
        }
        if content_type := self.attributes.get("datacontenttype"):
            headers["content-type"] = content_type
        return headers, self.data

    def extended(self, more: Mapping[str, str]) -> "Event":
        """Return the event with further extensions."""
        return Event({**self.attributes, **more}, self.data)


def _binary(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name.lower().removeprefix(_PREFIX): unquote(value)
        for name, value in headers.items()
        if name.lower().startswith(_PREFIX)
    }


def _structured(body: bytes) -> tuple[dict[str, str], bytes]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoEvent("the body is not JSON") from error
    if not isinstance(said, dict):
        raise NoEvent("the body must be a JSON object")
    data, encoded = said.pop("data", None), said.pop("data_base64", None)
    attributes = {name: _text(value) for name, value in said.items() if value is not None}
    content_type = attributes.get("datacontenttype", "")
    if any(control in content_type for control in "\r\n\0"):
        raise NoEvent("the datacontenttype is none")
    if encoded is not None:
        try:
            return attributes, base64.b64decode(str(encoded), validate=True)
        except binascii.Error as error:
            raise NoEvent("data_base64 is not base64") from error
    if data is None:
        return attributes, b""
    if isinstance(data, str) and content_type and "json" not in content_type:
        return attributes, data.encode()
    return {"datacontenttype": "application/json", **attributes}, json.dumps(data).encode()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return json.dumps(value)
    raise NoEvent("an attribute must be a text, a number or a boolean")

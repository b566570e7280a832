"""What registries answer, read; whoever answers may say anything."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from maxcloud import names
from maxcloud.errors import MaxCloudError, TemporaryError

# What the nodes run; an image index names one manifest for each platform.
ARCHITECTURE = "amd64"

# What reading an answer raises that has another shape than the specification's.
NONSENSE = (
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    UnicodeError,  # a name that is no host's, or text that no header carries
    httpx.DecodingError,
    httpx.InvalidURL,
)
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_MANY = 401, 403, 404, 429


class ImageRefused(MaxCloudError):
    """No repetition finds this image; `reason` is one word, the message one sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Image:
    """What a registry said: `exposed_port` is the lowest TCP EXPOSE that Knative leaves free."""

    digest: str
    exposed_port: int | None


def refuse(status: int, host: str, text: str) -> None:
    """Raise what a status of a registry means for an image, when it is no success."""
    if status == NOT_FOUND:
        raise ImageRefused("ImageNotFound", f"{text} does not exist on {host}")
    if status in {UNAUTHORIZED, FORBIDDEN}:
        raise ImageRefused("ImageNotFound", f"{text} does not exist on {host}, or is private")
    if status == TOO_MANY or status >= 500:  # noqa: PLR2004 - HTTP's own classes
        raise TemporaryError(f"the registry {host} answered {status}")
    if status >= 400:  # noqa: PLR2004
        raise ImageRefused("ImageInvalid", f"{host} refused the look-up with {status}")


def document(answer: httpx.Response, host: str) -> dict[str, Any]:
    """Return the JSON object that a registry answers; ImageRefused when it is none."""
    try:
        parsed = answer.json()
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise ImageRefused("ImageInvalid", f"{host} is not a registry")
    return parsed


def for_our_nodes(index: Mapping[str, Any], text: str) -> str:
    """Return the digest of the build in an index that the nodes run."""
    for entry in index["manifests"]:
        platform = entry.get("platform", {})
        if platform.get("os") == "linux" and platform.get("architecture") == ARCHITECTURE:
            return str(entry["digest"])
    raise ImageRefused("ImageInvalid", f"{text} has no build for linux/{ARCHITECTURE}")


def lowest_port(exposed: Mapping[str, object]) -> int | None:
    """Return the lowest TCP port of an EXPOSE that Knative leaves free."""
    ports = [int(m[1]) for m in (re.fullmatch(r"(\d{1,5})(?:/tcp)?", key) for key in exposed) if m]
    usable = (port for port in ports if 0 < port < 2**16 and port not in names.RESERVED_PORTS)
    return min(usable, default=None)

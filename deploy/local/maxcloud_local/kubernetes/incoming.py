"""What a request to the API says: its numbers, its flags and its JSON."""

import json
import math
from typing import Any

from aiohttp import web

from maxcloud_local.kubernetes.refusals import BadRequest, UnsupportedMediaType
from maxcloud_local.store import Object

JSON = "application/json"

_MOST_DIGITS = 18  # what fits in 64 bits, Kubernetes' integers

# Whoever copies or writes an object does it by recursion.
_MOST_DEPTH = 100


def number(request: web.Request, name: str) -> int | None:
    """Return a count from the query, None without one. Raises BadRequest."""
    said = request.query.get(name, "")
    if not said:
        return None
    if not (said.isascii() and said.isdecimal() and len(said) <= _MOST_DIGITS):
        raise BadRequest(f"{name} must be a number that is not negative")
    return int(said)


def flag(request: web.Request, name: str) -> bool:
    """Return a yes or no from the query. Raises BadRequest."""
    said = request.query.get(name, "")
    if said.lower() not in {"", "0", "1", "false", "true"}:
        raise BadRequest(f"{name} must be true or false")
    return said.lower() in {"1", "true"}


async def read_object(request: web.Request, *media_types: str) -> Object:
    """Return the body, a JSON object of one of these types. Raises a Refused."""
    said = request.headers.get("Content-Type", media_types[0]).partition(";")[0].strip().lower()
    if said not in media_types:
        raise UnsupportedMediaType(
            f"the body is {said}; read here is {' or '.join(media_types)}, as kubectl apply -f "
            "and kubectl patch --type merge send it"
        )
    return parse(await request.read())


def parse(body: bytes) -> Object:
    """Return a JSON object; raises BadRequest."""
    try:
        found = json.loads(body.decode(), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    if not isinstance(found, dict):
        raise BadRequest("the body is not a JSON object")
    level: list[Any] = [found]
    for _ in range(_MOST_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
    if level:
        raise BadRequest("the body is nested too deeply")
    return found


def _finite(said: str) -> float:
    number = float(said)
    if not math.isfinite(number):
        raise ValueError(said)
    return number


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []

"""What every answer is held against."""

import http.client
import re
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from maxcloud import errors

SERVICES = "/api/v1/services"
SHOP = {"name": "shop", "image": "nginx:1.29"}

# What must never reach a caller.
_LEAKS = re.compile(
    r"Traceback|File \"|psycopg|pydantic|select |insert |services_|svc\.cluster|127\.0\.0\.1"
    r"|<class|object at 0x|mc[-_](api|worker|system)|site-packages|/functions/"
    r"|[A-Z][a-z]+Error\b|Exception\b",
)

_STATUS = {
    leaf.code: leaf.status
    for leaf in vars(errors).values()
    if isinstance(leaf, type) and issubclass(leaf, errors.APIError)
}


def leaks(text: str, sent: str = "") -> bool:
    """Tell whether a text names what is inside: hosts, SQL, tables, files, Python's exceptions.

    What the caller has `sent` may come back: a misspelt parameter is named in its refusal.
    """
    return any(found.group() not in sent for found in _LEAKS.finditer(text))


def assert_refusal(answer: httpx.Response, code: str, field: str | None = None) -> str:
    """Check that an answer is the one shape of a refusal; return its sentence."""
    assert answer.status_code == _STATUS[code], answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"error", "code", "request_id"} | ({"field"} if field else set()), body
    assert (body["code"], body.get("field")) == (code, field), body
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["error"]
    assert not leaks(answer.text + str(answer.headers)), answer.text
    return str(body["error"])


def raw(
    url: str, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
) -> httpx.Response:
    """Send a request exactly as it is written: no client in between tidies the path."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
    finally:
        connection.close()


def is_uuid(text: str) -> bool:
    return str(UUID(text)) == text

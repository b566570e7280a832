"""What may come in and how it is refused: bodies, headers, and the one shape of errors."""

import asyncio
import re
import typing
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeVar
from urllib.parse import parse_qs

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maxcloud import errors, log

BODY_BYTES_MAX = 1024 * 1024

# Of a body that nobody wants, as much is still read before the answer.
UNWANTED_BYTES_MAX, UNWANTED_SECONDS_MAX = 16 * BODY_BYTES_MAX, 5.0

Body = TypeVar("Body", bound=BaseModel)

FORM = "application/x-www-form-urlencoded"
# More fields than any client sends.
_FORM_FIELDS_MAX = 100

_JSON_TYPES = {"application/json", "application/merge-patch+json"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_ETAG = re.compile(r'"([0-9]{1,18})"\Z')

# In our words, by pydantic's type of a mistake; others keep pydantic's.
_SENTENCES = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_long": "must have at most {max_length} characters",
    "literal_error": "must be {expected}",
    "too_long": "must have at most {max_length} entries",
}


def name_request(request: Request) -> None:
    """Name this request in every line that is logged while it is served.

    A caller's own X-Request-Id is kept when it is a plain word.
    """
    log.request_id.set(valid_request_id(request.headers.get("x-request-id")))
    log.org_id.set(None)


def valid_request_id(sent: str | None) -> str:
    """Return what was sent when it is a plain word that any header can carry, else a new id."""
    return sent if sent and _REQUEST_ID.match(sent) else str(uuid.uuid4())


def require_acceptable(request: Request, media: str | None) -> None:
    """Raise NotAcceptable when the caller does not take this type; None is no type."""
    accepted = ",".join(request.headers.getlist("accept")) or "*/*"
    types = {part.partition(";")[0].strip().lower() for part in accepted.split(",")}
    if media and not types & {"*/*", f"{media.partition('/')[0]}/*", media}:
        raise errors.NotAcceptable(f"the answer is {media}: accept that")


def read_query(request: Request, model: type[Body]) -> Body:
    """Return the query as a model; raises InvalidField for the first rule that is broken."""
    sent = request.query_params
    return _of_pairs({name: sent.getlist(name) for name in sent}, model)


async def read_form(request: Request, model: type[Body]) -> Body:
    """Return a form as a model.

    Raises UnsupportedMedia, PayloadTooLarge, MalformedRequest, or InvalidField for the first rule
    that is broken.
    """
    if _media(request) != FORM:
        raise errors.UnsupportedMedia(f"the body must be a form: send Content-Type: {FORM}")
    try:
        sent = (await read_bytes(request)).decode()
        pairs = parse_qs(sent, keep_blank_values=True, max_num_fields=_FORM_FIELDS_MAX)
    except ValueError as error:  # no UTF-8, or too many fields
        raise errors.MalformedRequest("the body is not a form") from error
    return _of_pairs(pairs, model)


def etag(generation: int) -> str:
    """Return a generation as the ETag that `if_match` takes back."""
    return f'"{generation}"'


def if_match(request: Request) -> int | None:
    """Return the generation that the caller wants to change; None when any will do.

    Beside an ETag the bare number is taken, as it stands in the body. Raises InvalidField.
    """
    lines = request.headers.getlist("if-match")
    if not lines or lines == ["*"]:
        return None
    sent = ", ".join(lines)
    found = _ETAG.match(sent) or _ETAG.match(f'"{sent}"')
    if found is None:
        said = 'If-Match must be a generation such as "3", or *'
        raise errors.InvalidField(said, field="If-Match")
    return int(found[1])


async def read_json(request: Request, model: type[Body]) -> Body:
    """Return the body as a model.

    Raises UnsupportedMedia, PayloadTooLarge, MalformedRequest, or InvalidField for the first rule
    that is broken.
    """
    if _media(request) not in _JSON_TYPES:
        raise errors.UnsupportedMedia("the body must be JSON: send Content-Type: application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise errors.UnsupportedMedia("the body must not be compressed")
    try:
        return model.model_validate_json(await read_bytes(request))
    except ValidationError as error:
        raise _first_mistake(error) from error


async def read_bytes(request: Request) -> bytes:
    """Return the body; raises PayloadTooLarge before more than the limit is in memory.

    Raises MalformedRequest when the caller goes away before its end.
    """
    declared = request.headers.get("content-length", "0")
    too_large = errors.PayloadTooLarge(f"the body must have at most {BODY_BYTES_MAX} bytes")
    if declared.isdecimal() and int(declared) > BODY_BYTES_MAX:
        raise too_large
    chunks = bytearray()
    try:
        async for chunk in request.stream():
            chunks += chunk
            if len(chunks) > BODY_BYTES_MAX:
                raise too_large
    except ClientDisconnect as error:
        raise errors.MalformedRequest("the body is not complete") from error
    return bytes(chunks)


class WholeBody:
    """Reads what is left of a body before an answer goes out.

    A refusal needs no body, but whoever is still sending one may not see it: a connection that
    ends with unread data is reset, and what was answered is lost with it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        headers = Headers(scope=scope)
        is_coming = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        # Who asks first does not send it before it is told to.
        unread = UNWANTED_BYTES_MAX if is_coming and "expect" not in headers else 0

        async def received() -> Message:
            nonlocal unread
            message = await receive()
            unread -= len(message.get("body", b""))
            if not message.get("more_body"):
                unread = 0
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                with suppress(TimeoutError):
                    async with asyncio.timeout(UNWANTED_SECONDS_MAX):
                        while unread > 0:
                            await received()
            await send(message)

        await self._app(scope, received, sent)


def refusal(error: errors.APIError) -> Response:
    """Return the one shape in which every route says no."""
    request_id = log.request_id.get() or str(uuid.uuid4())
    body = {"error": error.message, "code": error.error_code, "request_id": request_id}
    if error.field:
        body["field"] = error.field
    headers = {"X-Request-Id": request_id}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.challenge is not None:
        headers["WWW-Authenticate"] = error.challenge
    return JSONResponse(body, error.status_code, headers)


async def refused_by_router(request: Request, error: Exception) -> Response:
    """Translate the router's own refusals: an unknown path, or a method that a path lacks."""
    name_request(request)
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    if error.status_code == errors.MethodNotAllowed.status:
        response = refusal(errors.MethodNotAllowed(f"{request.method} is not possible here"))
    else:
        response = refusal(errors.NotFound("no such path"))
    response.headers.update(error.headers or {})
    return response


def _media(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _of_pairs(sent: Mapping[str, list[str]], model: type[Body]) -> Body:
    """Return a model of names with their values: a list of it takes all, the others one."""
    fields = model.model_fields
    found: dict[str, object] = {}
    for name, values in sent.items():
        if name in fields and typing.get_origin(fields[name].annotation) is list:
            found[name] = values
        elif len(values) > 1 and (name in fields or model.model_config.get("extra") == "forbid"):
            raise errors.InvalidField(f"{name[:100]} must be given once", field=name[:100])
        else:
            found[name] = values[-1]
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise _first_mistake(error) from error


def _first_mistake(error: ValidationError) -> errors.APIError:
    mistake = error.errors(include_url=False, include_input=False)[0]
    if mistake["type"] == "json_invalid":
        return errors.MalformedRequest(f"the body is not JSON: {mistake['ctx']['error']}")
    path = [str(part) for part in mistake["loc"] if part != "[key]"]
    said = mistake["msg"].removeprefix("Value error, ")
    if not path and mistake["type"] != "value_error":
        shape = "list" if mistake["type"] == "list_type" else "object"
        return errors.MalformedRequest(f"the body must be a JSON {shape}")
    if not path:  # a rule over several fields opens its sentence with the one to change
        return errors.InvalidField(said, field=said.partition(" ")[0])
    # A path can hold a key of the caller's own: it is shown short.
    field = ".".join(path)[:100]
    sentence = _SENTENCES.get(mistake["type"])
    said = sentence.format(**mistake.get("ctx", {})) if sentence else said[0].lower() + said[1:]
    return errors.InvalidField(f"{field} {said}", field=field)

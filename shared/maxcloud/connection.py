"""How the client's requests are sent and their answers read, whatever they are about.

Who asks what runs there needs no more than this: a command imports the rest with `client.py`.

Errors are drawn in `client.py`, which callers import them from.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from maxcloud import __version__
from maxcloud.answers import ErrorBody, Readiness, Version
from maxcloud.errors import APIError, MaxCloudError, Unavailable

if TYPE_CHECKING:
    from httpx_sse import ServerSentEvent

# Between the attempts of what may be sent again: long enough for a function's cold start or a
# gateway's reload.
_PAUSES = (0.1, 0.3, 0.9)
_GATEWAY_TROUBLE = frozenset({502, 503, 504})
_IDEMPOTENCY_KEY = "Idempotency-Key"

# How long a stream may be silent: it says something every 15 seconds.
SILENT_SECONDS = 45.0

_Kind = TypeVar("_Kind")


class InvalidSetting(MaxCloudError, ValueError):
    """The address or a key is of a form that no request can be sent with."""


class ConnectionFailed(MaxCloudError):
    """There is no connection to the API; the message names its URL."""


class NoAnswer(ConnectionFailed):
    """The request went out and no answer came back: a write may have taken effect."""


class NotTheAPI(APIError):
    """What answered is a gateway, a newer API, or something else than max-cloud."""

    code, status = "not_the_api", 0  # no status of its own: `for_answer` never picks it by one


class Connection:
    """A connection to one API, for one organisation.

    `timeout` bounds a whole call in seconds, with its repetitions: a GET that meets a lost
    connection or a 502, 503 or 504 is sent again a few times, after `Retry-After` where the
    answer has one, and so is a POST, whose Idempotency-Key keeps it from being carried out
    twice. Nothing else is sent twice. Redirects are not followed, so that the API key never
    reaches another host.
    """

    def __init__(self, base_url: str, api_key: str | None = None, timeout: float = 30) -> None:
        self.base_url = _checked_address(base_url)
        self._timeout = timeout
        headers = {"Accept": "application/json", "User-Agent": f"maxcloud/{__version__}"}
        if api_key:
            headers["Authorization"] = f"Bearer {_checked_key(api_key)}"
        # Loading the authorities takes 20 ms; without TLS nobody looks at them.
        encrypted = httpx.URL(self.base_url).scheme == "https"
        self._http = httpx.Client(base_url=self.base_url, headers=headers, verify=encrypted)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client cannot be used after this."""
        self._http.close()

    def version(self) -> Version:
        """Return what the API runs."""
        return self._read(Version, self._send("GET", "/api/v1/version"))

    def ready(self) -> Readiness:
        """Return that the API can work, else raise Unavailable naming what is down; asks once."""
        answer = self._exchange("GET", "/readyz", None, None, self._timeout)
        if answer.is_success:
            return self._read(Readiness, answer)
        raise self._refusal(answer)

    def _all_pages(self, kind: type[_Kind], path: str) -> list[_Kind]:
        found: list[_Kind] = []
        query = b""
        while True:
            answer = self._send("GET", f"{path}?{query.decode()}" if query else path)
            found += self._read(list[kind], answer)  # type: ignore[valid-type]
            following = answer.links.get("next", {}).get("url")
            if following is None:
                return found
            # The query alone: the path is known, and another host must not get the key.
            query = httpx.URL(following).query

    def _post(self, path: str, body: str, key: str | None) -> httpx.Response:
        key = str(uuid.uuid4()) if key is None else key
        if not key.isascii() or not key.isprintable():
            raise InvalidSetting("the idempotency key must be printable ASCII characters")
        return self._send("POST", path, body, {_IDEMPOTENCY_KEY: key})

    def _send(
        self,
        method: str,
        path: str,
        body: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Return the API's answer when it is a 2xx, else raise the error that it is."""
        deadline = time.monotonic() + self._timeout
        safe = method == "GET" or _IDEMPOTENCY_KEY in (headers or {})
        pauses = list(_PAUSES) if safe else []
        while True:
            error: NoAnswer | APIError
            try:
                answer = self._exchange(method, path, body, headers, deadline - time.monotonic())
                if answer.is_success:
                    return answer
                error = self._refusal(answer)
                again = answer.status_code in _GATEWAY_TROUBLE
            except NoAnswer as lost:
                error, again = lost, True
            if not again or not pauses:
                raise error
            pause = max(pauses.pop(0), getattr(error, "retry_after", None) or 0)
            if time.monotonic() + pause >= deadline:
                raise error
            time.sleep(pause)

    def _exchange(
        self,
        method: str,
        path: str,
        body: str | None,
        headers: dict[str, str] | None,
        seconds: float,
    ) -> httpx.Response:
        """Send one request and return whatever is answered; ConnectionFailed when nothing is.

        A body is JSON unless `headers` say otherwise.
        """
        sent = ({} if body is None else {"Content-Type": "application/json"}) | (headers or {})
        limit = max(seconds, 0.001)
        with self._translated():
            return self._http.request(method, path, content=body, headers=sent, timeout=limit)

    @contextmanager
    def _events(
        self, path: str, query: dict[str, str], last_id: str
    ) -> Iterator[Iterator["ServerSentEvent"]]:
        """Yield the events of a stream, after the one of this id."""
        # Of all calls one reads events.
        from httpx_sse import EventSource, SSEError

        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        limit = httpx.Timeout(self._timeout, read=max(self._timeout, SILENT_SECONDS))
        with (
            self._translated(),
            self._http.stream("GET", path, params=query, headers=headers, timeout=limit) as answer,
        ):
            if not answer.is_success:
                answer.read()
                raise self._refusal(answer)
            try:
                yield EventSource(answer).iter_sse()
            except (SSEError, ValidationError) as error:
                raise self._not_understood(answer) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise the errors of httpx as ours."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise ConnectionFailed(f"cannot connect to API server at {self.base_url}") from error
        except httpx.TimeoutException as error:
            said = f"did not answer within {self._timeout:g} s"
            raise NoAnswer(f"the API server at {self.base_url} {said}") from error
        except httpx.RequestError as error:
            said = "closed the connection without an answer"
            raise NoAnswer(f"the API server at {self.base_url} {said}") from error

    def _read(self, kind: type[_Kind], answer: httpx.Response) -> _Kind:
        try:
            return TypeAdapter(kind).validate_json(answer.content)
        except ValidationError as error:
            raise self._not_understood(answer) from error

    def _not_understood(self, answer: httpx.Response) -> NotTheAPI:
        said = "is not an answer that this version of maxcloud understands"
        return NotTheAPI(
            f"what {self.base_url} sent for {answer.url.path} {said}",
            status_code=answer.status_code,
            request_id=answer.headers.get("X-Request-Id"),
        )

    def _refusal(self, answer: httpx.Response) -> APIError:
        """Return the error that an answer other than 2xx is."""
        status = answer.status_code
        details: dict[str, Any] = {
            "request_id": answer.headers.get("X-Request-Id"),
            "retry_after": _seconds(answer.headers.get("Retry-After")),
        }
        try:
            said = ErrorBody.model_validate_json(answer.content)
        except ValidationError:
            return self._foreign(answer, details)
        details |= {"request_id": said.request_id, "field": said.field}
        return APIError.for_answer(status, said.code, said.error, **details)

    def _foreign(self, answer: httpx.Response, details: dict[str, Any]) -> APIError:
        """Return the error for an answer that none of our functions gave: a gateway, a stranger.

        A gateway's 404 is no NotFound: it says nothing about whether a service exists.
        """
        status = answer.status_code
        if answer.is_redirect:
            said = f"{self.base_url} redirects to {answer.headers['Location']}"
            return NotTheAPI(said, status_code=status, **details)
        if status in _GATEWAY_TROUBLE:
            said = f"the API at {self.base_url} is not available ({status}{_first_line(answer)})"
            return Unavailable(said, status_code=status, **details)
        said = (
            f"{self.base_url} answered {status}{_first_line(answer)}, not as a max-cloud API does"
        )
        return NotTheAPI(said, status_code=status, **details)


def _checked_address(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise InvalidSetting(f"{base_url!r} is not an address: {error}") from error
    if url.userinfo:
        raise InvalidSetting("the API's address must not contain a user name or password")
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidSetting(f"{base_url!r} is not an address such as http://localhost:8080")
    return base_url.rstrip("/")


def _checked_key(api_key: str) -> str:
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise InvalidSetting("the API key contains characters that no key has, perhaps a line end")
    return api_key


def _seconds(retry_after: str | None) -> int | None:
    # The header may be a date, too; ours are seconds, and without one the usual pause does.
    return int(retry_after) if retry_after and retry_after.isdecimal() else None


def _first_line(answer: httpx.Response) -> str:
    """Return ': ' and the start of a plain text, which is how gateways give their reason."""
    if not answer.headers.get("Content-Type", "text/plain").startswith("text/plain"):
        return ""
    line = answer.text.strip().partition("\n")[0][:120]
    return f": {line}" if line else ""

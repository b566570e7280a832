"""How a registry is asked: with a token of its own, again when the line breaks.

A token goes to the registry that it names and to no other origin, whatever an answer says.

MaxCloudError
├── RegistryUnreachable   no answer, again and again
└── RegistryRefused       an answer that no repetition changes
    └── KeyRefused        the key's role does not reach this far
"""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from maxcloud import __version__
from maxcloud.errors import MaxCloudError

# After each of these in a row without a byte of progress it is tried again: a registry that is
# started anew, or a line that comes back.
PAUSES = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 8.0)

# A registry that keeps blobs in an object store copies the whole of one before it answers.
TIMEOUT = httpx.Timeout(30, connect=10, read=120)
_CONNECTIONS = httpx.Limits(max_connections=8)

OK, CREATED, ACCEPTED, NO_CONTENT, NOT_FOUND = 200, 201, 202, 204, 404
_UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _FAILED = 401, 403, 429, 500

# Returns a token for the scopes.
TokenSource = Callable[[tuple[str, ...]], str]


class RegistryUnreachable(MaxCloudError):
    """The registry cannot be reached, or the connection to it does not hold."""


class RegistryRefused(MaxCloudError):
    """The registry does not take what it was sent; the message says what and why."""


class KeyRefused(RegistryRefused):
    """The token does not allow it: the key has too little of a role."""


class Broken(Exception):
    """No answer, or one that says: later.

    `by_registry` is whether the registry itself could not do it, and no gateway in front of it.
    """

    def __init__(self, said: str, *, by_registry: bool = False) -> None:
        super().__init__(said)
        self.by_registry = by_registry


class Connection:
    """A connection to one registry, used by several threads at once."""

    def __init__(
        self,
        url: str,
        token_for: TokenSource,
        scopes: tuple[str, ...] = (),
        token: str | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        parsed = httpx.URL(self.url)
        self.host = parsed.netloc.decode()
        is_here = _is_here(parsed.host)
        # Not every resolver knows names below localhost.
        base = parsed.copy_with(host="127.0.0.1") if is_here else parsed
        self._http = httpx.Client(
            base_url=base,
            headers={"Host": self.host, "User-Agent": f"maxcloud/{__version__}"},
            verify=base.scheme == "https",
            timeout=TIMEOUT,
            limits=_CONNECTIONS,
            trust_env=not is_here,  # no proxy leads here
        )
        self._token_for = token_for
        self._scopes = scopes
        self._token = token
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    @classmethod
    def of_tokens(cls, token_for: TokenSource, *scopes: str) -> Self:
        """Return the registry that tokens of this source are for: it stands in them as `aud`."""
        token = token_for(scopes)
        return cls(_address(_audience(token)), token_for, scopes, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def stop(self) -> None:
        """Let no request of any thread be repeated any more."""
        self._stopped.set()

    def widen(self, *scopes: str) -> None:
        """Ask for tokens with further scopes from now on."""
        with self._lock:
            self._scopes = tuple(dict.fromkeys(self._scopes + scopes))
            self._token = None

    def _pauses(self) -> Iterator[float]:
        return iter(PAUSES)

    def _pause(self, pauses: Iterator[float], failure: str) -> None:
        pause = next(pauses, None)
        if pause is None or self._stopped.wait(pause):
            raise RegistryUnreachable(f"the registry {self.host} does not answer: {failure}")

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Return the answer to a request that does no harm when it is sent twice."""
        pauses = self._pauses()
        while True:
            try:
                return self._once(method, path, **request)
            except Broken as broken:
                self._pause(pauses, str(broken))

    def _once(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        content: bytes | Callable[[], Iterator[bytes]] | None = None,
    ) -> httpx.Response:
        """Return the answer to one request, with a new token when the old one is over."""
        # httpx would put `params` in the place of a path's own query.
        url = httpx.URL(path).copy_merge_params(params or {})
        for is_last in (False, True):
            token = self._current_token()
            sent = {"Authorization": f"Bearer {token}"} if token else {}
            body = content() if callable(content) else content
            try:
                answer = self._http.request(
                    method, url, content=body, headers=sent | (headers or {})
                )
            except httpx.RequestError as error:
                said = str(error) or type(error).__name__
                raise Broken(said) from error
            if answer.status_code == _UNAUTHORIZED and token and not is_last:
                self._renew(token)
                continue
            break
        if answer.status_code == _TOO_MANY or answer.status_code >= 500:  # noqa: PLR2004
            raise Broken(reason_of(answer), by_registry=answer.status_code == _FAILED)
        return answer

    def _current_token(self) -> str:
        with self._lock:
            if self._token is None:
                self._token = self._token_for(self._scopes)
            return self._token

    def _renew(self, refused: str) -> None:
        """Get another token than the refused one, unless another thread has one already."""
        with self._lock:
            if self._token == refused:
                self._token = self._token_for(self._scopes)

    def _place(self, answer: httpx.Response) -> str:
        """Return where an upload goes on: a path, because the origin stays ours."""
        try:
            return httpx.URL(answer.headers["Location"]).raw_path.decode()
        except (KeyError, httpx.InvalidURL) as error:
            raise RegistryRefused(f"{self.host} answers as no registry does") from error

    def _expect(self, answer: httpx.Response, status: int) -> None:
        if answer.status_code == status:
            return
        said = reason_of(answer)
        if answer.status_code in {_UNAUTHORIZED, _FORBIDDEN}:
            raise KeyRefused(f"the registry {self.host} does not let this key push ({said})")
        raise RegistryRefused(f"the registry {self.host} refused the image: {said}")


def _audience(token: str) -> str:
    """Return whom a JWT is for (RFC 7519, section 4.1.3); it came from who signed it."""
    try:
        payload = token.split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["aud"]
        if isinstance(said, str) and said:
            return said
    except (ValueError, LookupError, TypeError):
        pass
    raise RegistryRefused("the API gave a token that names no registry")


def _address(host: str) -> str:
    """Return a registry's address: HTTPS everywhere but on this machine, as Docker has it."""
    try:
        url = httpx.URL(f"https://{host}")
    except httpx.InvalidURL as error:
        raise RegistryRefused("the API gave a token that names no registry") from error
    return str(url.copy_with(scheme="http")) if _is_here(url.host) else str(url)


def _is_here(name: str) -> bool:
    """Return whether a host is this machine by definition (RFC 6761, section 6.3)."""
    return name in {"localhost", "127.0.0.1"} or name.endswith(".localhost")


def codes_of(answer: httpx.Response) -> set[str]:
    """Return the codes of the errors that a registry answers (distribution specification)."""
    return {str(each.get("code")) for each in _errors(answer)}


def _errors(answer: httpx.Response) -> list[dict[str, Any]]:
    if answer.is_success or not answer.content:
        return []
    try:
        found = json.loads(answer.content)["errors"]
        return [each for each in found if isinstance(each, dict)]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []


def reason_of(answer: httpx.Response) -> str:
    """Return why, in the registry's words where it has some."""
    for each in _errors(answer):
        if each.get("message"):
            return f"{answer.status_code}, {str(each['message'])[:200]}"
    return f"status {answer.status_code}"

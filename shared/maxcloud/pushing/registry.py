"""A registry as a pusher needs it (the OCI distribution specification), over plain HTTP requests.

An upload outlives its connection: after a cut the registry is asked how far it came, and gets the
rest. A token goes to this registry's origin alone, whatever addresses its answers name.

MaxCloudError
├── RegistryUnreachable   no answer, again and again
└── RegistryRefused       an answer that no repetition changes
    └── KeyRefused        the key's role does not reach this far
"""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from maxcloud import __version__
from maxcloud.errors import MaxCloudError
from maxcloud.pushing.contents import ArchiveInvalid, Content
from maxcloud.pushing.packing import digest_of_content
from maxcloud.pushing.sources import JSON_MAX, digest_of

# What one request carries: small enough for a gateway's patience on a slow line, large enough that
# the requests' own time does not count.
CHUNK = 32 * 1024 * 1024

# After each of these in a row without a byte of progress it is tried again: a registry that is
# started anew, or a line that comes back.
_PAUSES = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 8.0)

# A registry that keeps blobs in an object store copies the whole of one before it answers.
_TIMEOUT = httpx.Timeout(30, connect=10, read=120)
_CONNECTIONS = httpx.Limits(max_connections=8)

_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_CREATED, _OK, _ACCEPTED, _NO_CONTENT = 201, 200, 202, 204
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _RANGE, _TOO_MANY = 401, 403, 404, 416, 429
# The registry knows the upload no more: it was cleared away, or is another registry's.
_UPLOAD_LOST = {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"}

# Returns a token for the scopes.
TokenSource = Callable[[tuple[str, ...]], str]


class RegistryUnreachable(MaxCloudError):
    """The registry cannot be reached, or the connection to it does not hold."""


class RegistryRefused(MaxCloudError):
    """The registry does not take what it was sent; the message says what and why."""


class KeyRefused(RegistryRefused):
    """The token does not allow it: the key has too little of a role."""


class _Broken(Exception):
    """No answer, or one that says: later."""


class _UploadLost(Exception):
    """The upload must begin anew."""


@dataclass
class _Upload:
    place: str  # path and query of its next request
    offset: int = 0


class Registry:
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
            timeout=_TIMEOUT,
            limits=_CONNECTIONS,
            trust_env=not is_here,  # no proxy leads here
        )
        self._token_for = token_for
        self._scopes = scopes
        self._token = token
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    @classmethod
    def of_tokens(cls, token_for: TokenSource, *scopes: str) -> "Registry":
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

    def manifest(self, repository: str, named: str) -> tuple[bytes, str] | None:
        """Return a manifest and its media type by tag or digest; None when there is none."""
        path = f"/v2/{repository}/manifests/{named}"
        answer = self._ask("GET", path, headers={"Accept": _MANIFESTS})
        if answer.status_code == _NOT_FOUND:
            return None
        self._expect(answer, _OK)
        return answer.content, answer.headers.get("Content-Type", "").partition(";")[0]

    def small_blob(self, repository: str, digest: str) -> bytes | None:
        """Return a blob that is small, such as a config; None when there is no such one."""
        answer = self._ask("GET", f"/v2/{repository}/blobs/{digest}")
        if answer.is_redirect:  # into the object store, which must not get the token
            try:
                answer = httpx.get(answer.headers["Location"], timeout=_TIMEOUT)
            except (httpx.RequestError, httpx.InvalidURL):
                return None
        whole = answer.status_code == _OK and len(answer.content) <= JSON_MAX
        return answer.content if whole and digest_of(answer.content) == digest else None

    def has(self, repository: str, digest: str) -> bool:
        """Return whether the repository has the blob."""
        answer = self._ask("HEAD", f"/v2/{repository}/blobs/{digest}")
        if answer.status_code != _NOT_FOUND and not answer.is_redirect:
            self._expect(answer, _OK)
        return answer.status_code != _NOT_FOUND

    def mount(self, repository: str, digest: str, other: str) -> bool:
        """Return whether another repository's blob is now this one's too, without being sent."""
        path = f"/v2/{repository}/blobs/uploads/"
        answer = self._ask("POST", path, params={"mount": digest, "from": other})
        if answer.status_code == _ACCEPTED:  # the registry began an upload instead
            self._ask("DELETE", self._place(answer))
        return answer.status_code == _CREATED

    def put_manifest(self, repository: str, named: str, content: bytes, media_type: str) -> None:
        """Give the content the name, a tag."""
        path = f"/v2/{repository}/manifests/{named}"
        answer = self._ask("PUT", path, content=content, headers={"Content-Type": media_type})
        self._expect(answer, _CREATED)

    def upload(
        self, repository: str, digest: str, content: Content, told: Callable[[int], None]
    ) -> None:
        """Put a blob into the repository, over as many connections as it takes.

        `told` is called with the number of bytes that are sent; it goes back after a cut.
        """
        upload: _Upload | None = None
        furthest = 0
        pauses = iter(_PAUSES)
        while True:
            try:
                if upload is None:
                    upload = self._begun(repository)
                if self._sent_on(upload, digest, content, told):
                    return
                failure = ""
            except _UploadLost as lost:
                # Its end may have been reached, and the answer lost.
                if self.has(repository, digest):
                    return
                upload, failure = None, str(lost)
            except _Broken as broken:
                failure = str(broken)
            if upload and upload.offset > furthest:
                furthest, pauses = upload.offset, iter(_PAUSES)
            if failure:
                self._pause(pauses, failure)
                upload = upload and self._resumed(upload, pauses)

    def _begun(self, repository: str) -> _Upload:
        answer = self._once("POST", f"/v2/{repository}/blobs/uploads/")
        self._expect(answer, _ACCEPTED)
        return _Upload(self._place(answer))

    def _sent_on(
        self, upload: _Upload, digest: str, content: Content, told: Callable[[int], None]
    ) -> bool:
        """Send the next chunk; return whether it was the last."""
        begin, end = upload.offset, min(upload.offset + CHUNK, content.size)
        last = end == content.size

        def blocks() -> Iterator[bytes]:
            done = begin
            told(done)
            for block in content.blocks(begin, end):
                yield block
                done += len(block)
                told(done)

        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(end - begin)}
        if end > begin:
            headers["Content-Range"] = f"{begin}-{end - 1}"
        params = {"digest": digest} if last else None
        method = "PUT" if last else "PATCH"
        answer = self._once(method, upload.place, headers=headers, content=blocks, params=params)
        if answer.status_code == _RANGE:
            raise _Broken("the registry has another part than it said")
        codes = _codes(answer)
        if answer.status_code == _NOT_FOUND or codes & _UPLOAD_LOST:
            raise _UploadLost(_reason(answer))
        if "DIGEST_INVALID" in codes:
            if digest_of_content(content) != digest:
                raise ArchiveInvalid(f"{digest} in {content.path} is damaged")
            raise _UploadLost("what arrived has another digest")
        self._expect(answer, _CREATED if last else _ACCEPTED)
        if not last:
            upload.place, upload.offset = self._place(answer), end
        return last

    def _resumed(self, upload: _Upload, pauses: Iterator[float]) -> _Upload | None:
        """Return the upload as far as the registry has it; None when it has it no more."""
        while True:
            try:
                answer = self._once("GET", upload.place)
            except _Broken as broken:
                self._pause(pauses, str(broken))
                continue
            found = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
            # 0-0 is said of one byte and of none.
            if answer.status_code != _NO_CONTENT or not found or found[1] == "0":
                return None
            return _Upload(self._place(answer), int(found[1]) + 1)

    def _pause(self, pauses: Iterator[float], failure: str) -> None:
        pause = next(pauses, None)
        if pause is None or self._stopped.wait(pause):
            raise RegistryUnreachable(f"the registry {self.host} does not answer: {failure}")

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Return the answer to a request that does no harm when it is sent twice."""
        pauses = iter(_PAUSES)
        while True:
            try:
                return self._once(method, path, **request)
            except _Broken as broken:
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
                raise _Broken(said) from error
            if answer.status_code == _UNAUTHORIZED and token and not is_last:
                self._renew(token)
                continue
            break
        if answer.status_code == _TOO_MANY or answer.status_code >= 500:  # noqa: PLR2004
            raise _Broken(_reason(answer))
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
        said = _reason(answer)
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


def _codes(answer: httpx.Response) -> set[str]:
    return {str(each.get("code")) for each in _errors(answer)}


def _errors(answer: httpx.Response) -> list[dict[str, Any]]:
    if answer.is_success or not answer.content:
        return []
    try:
        found = json.loads(answer.content)["errors"]
        return [each for each in found if isinstance(each, dict)]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []


def _reason(answer: httpx.Response) -> str:
    """Return why, in the registry's words where it has some."""
    for each in _errors(answer):
        if each.get("message"):
            return f"{answer.status_code}, {str(each['message'])[:200]}"
    return f"status {answer.status_code}"

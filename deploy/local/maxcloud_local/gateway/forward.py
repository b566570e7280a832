"""One request to an instance and its answer back, byte for byte as they come.

An instance may close an idle connection at any moment, so each request has a connection of its
own: on loopback that costs little.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from maxcloud_local.gateway.websockets import Unwilling, is_websocket, join, offered
from maxcloud_local.instances.instances import Instance
from maxcloud_local.serving.buffer import NoInstance
from maxcloud_local.serving.revisions import Revision

# Envoy's limit for all headers of a message together.
HEADERS_BYTES_MAX = 60 * 1024

# RFC 9110, section 7.6.1, and Expect, which has been answered here.
_BETWEEN_NEIGHBOURS = frozenset(
    """
    connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer
    transfer-encoding upgrade expect
    """.split()
)

# How long after a refused connection another instance is asked for: one that has died is noticed.
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)

_CONNECT_SECONDS = 10

# What a subscriber says when it fails, for the dead letter.
_SAID_BYTES_MAX = 16 * 1024

_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

Begun = TypeVar("Begun")


class Forwarder:
    """The connections to all instances; a context that closes them."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            skip_auto_headers=_AUTOMATIC,
            auto_decompress=False,
            max_line_size=HEADERS_BYTES_MAX,
            max_field_size=HEADERS_BYTES_MAX,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def forward(
        self, request: web.Request, revision: Revision, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        """Hand a request with these headers to the revision, and its answer to the client.

        Trouble is answered with one sentence; once the answer has begun, the connection is cut.
        """
        hand_over = self._converse if is_websocket(request) else self._relay
        try:
            async with asyncio.timeout(revision.timeout_seconds):
                return await hand_over(request, revision, headers)
        except NoInstance as error:
            return _trouble(request, 503, str(error))
        except Unwilling as error:
            return web.Response(status=error.status)
        except ValueError:  # a byte that no header or path can carry
            return _trouble(request, 400, "the request cannot be passed on")
        except aiohttp.ClientError:
            said = f"the instance of {revision.service} ended the connection without an answer"
            return _trouble(request, 502, said)
        except TimeoutError:
            said = f"{revision.service} did not answer within {revision.timeout_seconds} s"
            return _trouble(request, 504, said)

    async def hand_to(
        self, request: web.Request, address: str, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        """Hand a request with these headers to a server that is no instance, and its answer back.

        It may take as long as it takes; trouble is answered with one sentence.
        """
        try:
            async with self._session.request(
                request.method,
                URL(f"http://{address}{_target(request)}", encoded=True),
                headers=headers,
                data=request.content if request.body_exists else None,
                allow_redirects=False,
            ) as answer:
                return await _relayed(request, answer)
        except ValueError:  # a byte that no header or path can carry
            return _trouble(request, 400, "the request cannot be passed on")
        except aiohttp.ClientError:
            return _trouble(request, 502, "the connection ended without an answer")

    async def deliver(
        self,
        revision: Revision,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        seconds: float | None,
    ) -> tuple[int, bytes]:
        """POST an event and return the answer's status and what it says, shortened.

        Trouble is a status too, as Knative's activator answers: 502, 503 or 504 and a sentence.
        `seconds` are the most it may take, with the wait for an instance.
        """
        seconds = min(seconds or revision.timeout_seconds, revision.timeout_seconds)
        try:
            async with (
                asyncio.timeout(seconds),
                self._asked(
                    revision,
                    lambda instance: self._session.post(
                        _url(instance, path), headers=headers, data=body, allow_redirects=False
                    ),
                ) as answer,
            ):
                return answer.status, await answer.content.read(_SAID_BYTES_MAX)
        except NoInstance as error:
            return 503, str(error).encode()
        except aiohttp.ClientError as error:
            return 502, f"the connection failed: {type(error).__name__}".encode()
        except TimeoutError:
            return 504, f"no answer within {seconds:g} s".encode()

    async def _relay(
        self, request: web.Request, revision: Revision, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        async with self._asked(
            revision,
            lambda instance: self._session.request(
                request.method,
                _url(instance, _target(request)),
                headers=headers,
                data=request.content if request.body_exists else None,
                allow_redirects=False,
            ),
        ) as answer:
            return await _relayed(request, answer)

    async def _converse(
        self, request: web.Request, revision: Revision, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        for name in [name for name in headers if name.lower().startswith("sec-websocket-")]:
            headers.popall(name, None)
        try:
            async with self._asked(
                revision,
                lambda instance: self._session.ws_connect(
                    _url(instance, _target(request)),
                    headers=headers,
                    protocols=offered(request),
                    autoping=False,
                    autoclose=False,
                    max_msg_size=0,
                ),
            ) as upstream:
                return await join(request, upstream)
        except aiohttp.WSServerHandshakeError as error:
            if error.status >= 400:  # noqa: PLR2004 - HTTP
                raise Unwilling(error.status) from error
        # It knows nothing of upgrades. The library keeps what it said to itself: so, without one.
        return await self._relay(request, revision, headers)

    @asynccontextmanager
    async def _asked(
        self, revision: Revision, ask: Callable[[Instance], AbstractAsyncContextManager[Begun]]
    ) -> AsyncIterator[Begun]:
        """Ask an instance that has room, or another one when nobody listens there any more."""
        for pause in (*_PAUSES, None):
            async with AsyncExitStack() as stack:
                instance = await stack.enter_async_context(revision.room())
                try:
                    begun = await stack.enter_async_context(ask(instance))
                except aiohttp.ClientConnectorError:
                    # Nothing was sent, so nothing can have been done.
                    if pause is None:
                        raise
                else:
                    yield begun
                    return
            await asyncio.sleep(pause)


class Relayed(web.StreamResponse):
    """An instance's answer on its way to the client."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        headers = CIMultiDict(answer.headers)
        strip(headers)
        self.has_type = "Content-Type" in headers
        super().__init__(status=answer.status, reason=answer.reason, headers=headers)


async def as_it_came(_: web.BaseRequest, response: web.StreamResponse) -> None:
    """Take away what the web library adds to an answer; for an app's `on_response_prepare`."""
    if response.headers.get("Server", "").startswith("Python/"):
        del response.headers["Server"]
    # A browser looks at the content itself when it is told no type.
    if isinstance(response, Relayed) and not response.has_type:
        response.headers.pop("Content-Type", None)


def passed_on(request: web.Request) -> CIMultiDict[str]:
    """Return a request's headers as the instance gets them; the Host stays the client's."""
    headers = CIMultiDict(request.headers)
    strip(headers)
    before = headers.get("X-Forwarded-For")
    client = request.remote or ""
    headers["X-Forwarded-For"] = f"{before}, {client}" if before else client
    headers["X-Forwarded-Proto"] = "http"
    headers["X-Forwarded-Host"] = request.headers.get("Host", "")
    return headers


def strip(headers: CIMultiDict[str]) -> None:
    """Remove what is between two neighbours only."""
    named = {
        name.strip().lower()
        for value in headers.getall("Connection", [])
        for name in value.split(",")
    }
    for name in {name.lower() for name in headers} & (named | _BETWEEN_NEIGHBOURS):
        headers.popall(name)


async def _relayed(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    relayed = Relayed(answer)
    await relayed.prepare(request)
    async for chunk in answer.content.iter_any():
        await relayed.write(chunk)
    await relayed.write_eof()
    return relayed


def _target(request: web.Request) -> str:
    return request.rel_url.raw_path_qs


def _url(instance: Instance, target: str) -> URL:
    return URL(f"http://{instance.address}{target}", encoded=True)


def _trouble(request: web.Request, status: int, sentence: str) -> web.StreamResponse:
    if request.writer.output_size and request.transport is not None:
        # The answer has begun: only a cut tells the client that it is not whole.
        request.transport.abort()
    return web.Response(status=status, text=f"{sentence}\n")

"""A test between the functions and the Kubernetes API, which answers in its place when told to."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp import web

# Instead of a status: nothing is ever answered.
SILENCE = 0

# What to answer to a method and a path; None hands the request on.
Verdict = Callable[[str, str], int | None]

_REASONS = {401: "Unauthorized", 403: "Forbidden", 409: "Conflict", 429: "TooManyRequests"}

# RFC 9110, section 7.6.1, and what the two sides say of lengths by themselves.
_NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


def everything_passes(method: str, path: str) -> int | None:
    return None


class Between:
    """`verdict` may be changed at any time; `asked` counts requests by what became of them."""

    def __init__(self, upstream: str) -> None:
        self.verdict: Verdict = everything_passes
        self.asked: list[tuple[str, str, int | None]] = []
        self.port = 0
        self._upstream = upstream

    @contextmanager
    def answering(self, verdict: Verdict) -> Iterator[None]:
        """Answer by this rule while the block runs."""
        self.verdict = verdict
        try:
            yield
        finally:
            self.verdict = everything_passes

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        status = self.verdict(request.method, request.path)
        self.asked.append((request.method, request.path, status))
        if status == SILENCE:
            await asyncio.Event().wait()
        if status is not None:
            return _refusal(status)
        async with self._session.request(
            request.method,
            f"{self._upstream}{request.raw_path}",
            headers={k: v for k, v in request.headers.items() if k.lower() not in _NOT_PASSED_ON},
            data=await request.read(),
        ) as answer:
            headers = {k: v for k, v in answer.headers.items() if k.lower() not in _NOT_PASSED_ON}
            return web.Response(status=answer.status, headers=headers, body=await answer.read())

    async def serve(
        self,
        host: str,
        port: int,
        identity: ssl.SSLContext,
        started: threading.Event,
        end: asyncio.Event,
    ) -> None:
        """Serve until `end`."""
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0)
        await runner.setup()
        # It is asked on loopback, or on the machine's own link to its node.
        connector = aiohttp.TCPConnector(ssl=False)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            self._session = session
            await web.TCPSite(runner, host, port, ssl_context=identity).start()
            self.port = runner.addresses[0][1]
            started.set()
            await end.wait()
            await runner.cleanup()
        # A function that was killed in the middle of a handshake is no connection of the server's.
        for transport in list(asyncio.get_running_loop()._transports.values()):  # type: ignore[attr-defined]
            transport.abort()
        await asyncio.sleep(0)


@contextmanager
def standing_between(
    upstream: str, identity: ssl.SSLContext, host: str, port: int = 0
) -> Iterator[Between]:
    """Serve on a port of `host`, zero for any that is free, in a thread of its own."""
    between = Between(upstream)
    started, loop, end = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(between.serve(host, port, identity, started, end))
    )
    thread.start()
    assert started.wait(10)
    try:
        yield between
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()


def _refusal(status: int) -> web.Response:
    reason = _REASONS.get(status, "InternalError")
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
    body |= {"reason": reason, "message": f"a test says {status}"}
    headers = {"Retry-After": "1"} if status in {429, 503} else {}
    return web.json_response(body, status=status, headers=headers)

"""Answers that go on until somebody ends them: watches and followed logs."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from aiohttp import web

_log = logging.getLogger(__name__)


class Streams:
    """The answers under way."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()

    @contextlib.asynccontextmanager
    async def answer(
        self, request: web.Request, content_type: str, seconds: int | None = None
    ) -> AsyncIterator[web.StreamResponse]:
        """Give an answer to write to, for so many seconds at most, and end it properly.

        A client that has gone away ends it too, at the latest with the next write.
        """
        response = web.StreamResponse(headers={"Content-Type": content_type})
        response.enable_chunked_encoding()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            try:
                async with asyncio.timeout(seconds) as limit:
                    self._limits.add(limit)
                    try:
                        yield response
                    finally:
                        self._limits.discard(limit)
            except TimeoutError:
                pass
            except ConnectionError:
                raise
            except Exception:
                # The answer has begun: there is no other status to send any more.
                _log.exception("%s failed", request.path)
            await response.write_eof()

    async def end(self, _: web.Application) -> None:
        """End all of them; the server is about to stop."""
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(0)

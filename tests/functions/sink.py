"""A broker that keeps what it is told."""

import json
import queue
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Told = tuple[dict[str, str], dict[str, Any]]


class Sink:
    """Keeps every event; the first `refuses`, and those after `takes` more, it does not take."""

    def __init__(self, takes: float = float("inf"), refuses: int = 0) -> None:
        self.told: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self.takes, self.refuses = takes, refuses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.told.put((dict(request.headers), json.loads(await request.body())))
        if self.refuses:
            self.refuses -= 1
            status = 500
        else:
            self.takes -= 1
            status = 202 if self.takes >= 0 else 500
        await Response(status_code=status)(scope, receive, send)

    def drained(self) -> list[Told]:
        """Return what was told since the last time: headers and data."""
        told = []
        while not self.told.empty():
            told.append(self.told.get())
        return told

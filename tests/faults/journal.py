"""What clients were told: every write that they sent, and how it was answered."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

SERVICES = "/api/v1/services"

# Many are there at once, on one machine.
SMALL: dict[str, Any] = {"cpu": "100m", "memory": "32Mi"}


@dataclass(frozen=True)
class Told:
    """One write; without a `status` nobody knows what became of it. Times are monotonic seconds."""

    action: str
    name: str
    began: float
    ended: float
    status: int | None
    answer: Any = None
    retry_after: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether the client was told that it succeeded."""
        return self.status is not None and self.status < 300

    @property
    def may_be_done(self) -> bool:
        """Whether it may have been carried out, as far as the client knows."""
        return self.status is None or self.status < 300 or self.status >= 500

    def __str__(self) -> str:
        said = self.answer.get("code") if isinstance(self.answer, dict) else None
        return f"{self.action} {self.name}: {self.status or 'no answer'} {said or ''}".rstrip()


class Journal:
    """A client of the platform, for many threads at once, that writes down what it is told."""

    def __init__(self, api_url: str, timeout: float = 60) -> None:
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._client = httpx.Client(base_url=api_url, timeout=timeout, limits=limits)
        self._lock = threading.Lock()
        self.told: list[Told] = []

    def close(self) -> None:
        self._client.close()

    def create(self, name: str, image: str, **settings: Any) -> Told:
        body = {"name": name, "image": image, **SMALL, **settings}
        return self._write("create", name, lambda: self._client.post(SERVICES, json=body))

    def patch(self, name: str, **patch: Any) -> Told:
        path = f"{SERVICES}/{name}"
        return self._write("patch", name, lambda: self._client.patch(path, json=patch))

    def route(self, name: str, shares: list[dict[str, Any]]) -> Told:
        path = f"{SERVICES}/{name}/traffic"
        return self._write("traffic", name, lambda: self._client.put(path, json=shares))

    def delete(self, name: str) -> Told:
        path = f"{SERVICES}/{name}"
        return self._write("delete", name, lambda: self._client.delete(path))

    def get(self, path: str) -> httpx.Response:
        """Read; a read is not written down."""
        return self._client.get(path)

    def _write(self, action: str, name: str, send: Callable[[], httpx.Response]) -> Told:
        began = time.monotonic()
        try:
            answer = send()
        except httpx.TransportError:
            told = Told(action, name, began, time.monotonic(), None)
        else:
            is_json = answer.headers.get("content-type") == "application/json"
            told = Told(
                action,
                name,
                began,
                time.monotonic(),
                answer.status_code,
                answer.json() if is_json else answer.text,
                answer.headers.get("retry-after"),
            )
        with self._lock:
            self.told.append(told)
        return told

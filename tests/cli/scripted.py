"""A real HTTP server on loopback that answers from a script and remembers what it was asked."""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

SERVICE_ID = UUID("0197a3b4-0000-7000-8000-000000000001")
DIGEST = "sha256:1a2b3c4d5e6f" + "0" * 52

SERVICES = "/api/v1/services"
BY_NAME = f"{SERVICES}/shop"
BY_ID = f"{SERVICES}/{SERVICE_ID}"


@dataclass(frozen=True)
class Answer:
    """`body` is sent as JSON unless it is a string; `reset` drops the connection instead."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    after: threading.Event | None = None


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class ScriptedAPI:
    """`script` gives the answers of a route in order; the last one repeats."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._script: dict[tuple[str, str], list[Answer]] = {}
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def script(self, method: str, path: str, *answers: Answer) -> None:
        self._script[method, path] = list(answers)

    def times_asked(self, method: str, path: str) -> int:
        return sum((asked.method, asked.path) == (method, path) for asked in self.asked)

    def wait_until_asked(self, method: str, path: str) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: self.times_asked(method, path) > 0, timeout=30)

    def next_answer(self, asked: Asked) -> Answer:
        with self._arrived:
            self.asked.append(asked)
            self._arrived.notify_all()
            answers = self._script.get((asked.method, asked.path))
            if not answers:
                return refusal(404, "not_found", f"nothing at {asked.path}")
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.01)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def scripted_api() -> Iterator[ScriptedAPI]:
    api = ScriptedAPI()
    thread = threading.Thread(target=api.serve)
    thread.start()
    try:
        yield api
    finally:
        api.close()
        thread.join()


def _handler(api: ScriptedAPI) -> type[BaseHTTPRequestHandler]:
    # HTTP/1.0: one request per connection, so no idle connection outlives a test.
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            asked = Asked(self.command, self.path, dict(self.headers), body)
            answer = api.next_answer(asked)
            if answer.after:
                answer.after.wait()
            if answer.reset:
                # Linger 0 makes the close a RST.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            is_text = isinstance(answer.body, str)
            content = answer.body if is_text else json.dumps(answer.body)
            sent = content.encode() if answer.status != 204 else b""
            self.send_response(answer.status)
            kind = "text/plain" if is_text else "application/json"
            for name, value in {"Content-Type": kind, **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sent)))
            with suppress(ConnectionError):  # who asked may have left
                self.end_headers()
                self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            pass

    for method in ("GET", "POST", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    return Handler


def refusal(status: int, code: str, error: str, **more: Any) -> Answer:
    headers = more.pop("headers", {})
    body = {"error": error, "code": code, "request_id": "req-1", **more}
    return Answer(status, body, headers)


GONE = refusal(404, "not_found", "there is no service shop")


def service(**changes: Any) -> dict[str, Any]:
    """A service as the API sends it: `shop`, ready, one revision."""
    now = datetime(2026, 11, 22, 12, tzinfo=UTC).isoformat()
    return {
        "id": str(SERVICE_ID),
        "org_id": "0197a3b4-0000-7000-8000-0000000000aa",
        "name": "shop",
        "image": "nginx:1.29",
        "status": "ready",
        "reason": "",
        "message": "",
        "url": "http://shop.localhost:8080",
        "port": 0,
        "command": [],
        "args": [],
        "env_vars": {},
        "min_scale": 0,
        "max_scale": 10,
        "concurrency": 80,
        "cpu": "1",
        "memory": "512Mi",
        "timeout_seconds": 300,
        "generation": 1,
        "observed_generation": 1,
        "latest_revision": "shop-00001",
        "ready_revision": "shop-00001",
        "traffic": [{"revision": "latest", "percent": 100}],
        "created_at": now,
        "updated_at": now,
        **changes,
    }


def pending(reason: str, **changes: Any) -> dict[str, Any]:
    """A service on its way to its first generation."""
    nothing_yet = {"latest_revision": None, "ready_revision": None, "observed_generation": 0}
    return service(status="pending", reason=reason, **{**nothing_yet, **changes})


def revision(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"0197a3b4-0000-7000-8000-0000000001{number:02d}",
        "service_id": str(SERVICE_ID),
        "name": f"shop-{number:05d}",
        "image": "nginx:1.29",
        "digest": DIGEST,
        "traffic": 0,
        "created_at": datetime(2026, 11, 22, 12, tzinfo=UTC).isoformat(),
        "created_by": "ada@example.com",
        **changes,
    }


def stream(*events: tuple[str, Any], after: threading.Event | None = None) -> Answer:
    """A stream of logs with these events, numbered by their ids; it is cut after the last."""
    written = "".join(
        f"id: {number}\nevent: {event}\ndata: {json.dumps(data)}\n\n"
        for number, (event, data) in enumerate(events, start=1)
    )
    return Answer(200, written, {"Content-Type": "text/event-stream"}, after=after)


def line(message: str, short: str = "abcde", revision: str = "shop-00001") -> tuple[str, Any]:
    """An event of a stream: a line."""
    entry = {
        "timestamp": datetime(2026, 11, 22, 12, tzinfo=UTC).isoformat(),
        "message": message,
        "stream": "stdout",
        "revision": revision,
        "instance": f"{revision}-{short}",
    }
    return "log", entry


def instance(
    short: str = "abcde", state: str = "ready", revision: str = "shop-00001"
) -> tuple[str, Any]:
    """An event of a stream: where an instance stands."""
    return "instance", {"name": f"{revision}-{short}", "revision": revision, "state": state}


END: tuple[str, Any] = ("end", {})
FAREWELL: tuple[str, Any] = ("farewell", {})

"""Resend and a mail server, small and at the network boundary: the two that cannot run here."""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.ports import free_port

RESEND_KEY = "re_only_for_this_test"


@dataclass
class Resend:
    """Resend's POST /emails, as resend.com/docs/dashboard/emails/idempotency-keys has it."""

    url: str = ""
    attempts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Answered, in this order, before anything is taken: a status, and the name of the error.
    troubles: list[tuple[int, str]] = field(default_factory=list)
    # Called when a message is taken and not yet answered.
    taken: Callable[[], None] = lambda: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(
        self, authorization: str, key: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.attempts.append((key, body))
            if authorization != f"Bearer {RESEND_KEY}":
                return 401, {"statusCode": 401, "name": "missing_api_key", "message": authorization}
            if self.troubles:
                status, name = self.troubles.pop(0)
                return status, {"statusCode": status, "name": name, "message": f"to {body['to']}"}
            if key in self.messages and self.messages[key] != body:
                error = "invalid_idempotent_request"
                return 409, {"statusCode": 409, "name": error, "message": "another body"}
            self.messages[key] = body
        self.taken()
        return 200, {"id": key}


@contextmanager
def resend() -> Iterator[Resend]:
    made = Resend()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/emails"
            key = self.headers["Idempotency-Key"]
            status, answer = made.take(self.headers["Authorization"], key, json.loads(content))
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())
            except ConnectionError:  # the test has killed who asked
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: pytest shows what failed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Mailbox:
    """What a mail server has received; `refusal` is answered to every recipient while it is set.

    `pause` is how many seconds it takes to say that it has a letter.
    """

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []
        self.senders: list[str | None] = []
        self.refusal = ""
        self.pause = 0.0
        self.arrived = threading.Condition()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's word
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        with self.arrived:
            self.received.append(message)
            self.senders.append(envelope.mail_from)
            self.arrived.notify_all()
        await asyncio.sleep(self.pause)
        return "250 OK"

    def wait_for(self, address: str, seconds: float = 30) -> EmailMessage:
        """Return the newest message to an address, once there is one."""

        def found() -> list[EmailMessage]:
            return [each for each in self.received if each["To"] == address]

        with self.arrived:
            assert self.arrived.wait_for(lambda: bool(found()), seconds), f"no mail to {address}"
            return found()[-1]


@contextmanager
def smtp(
    tls: ssl.SSLContext | None = None,
    login: tuple[str, str] | None = None,
    host: str = "127.0.0.1",
    *,
    port: int | None = None,
    from_the_start: bool = False,
) -> Iterator[tuple[Mailbox, str]]:
    """A mail server and its host:port; with `tls` it offers STARTTLS, or is TLS from the start.

    Without a port it has one that is free.
    """

    def allowed(
        server: object, session: object, envelope: object, way: str, said: Any
    ) -> AuthResult:
        assert isinstance(said, LoginPassword)
        return AuthResult(success=(said.login.decode(), said.password.decode()) == login)

    box = Mailbox()
    port = port or free_port()
    options: dict[str, Any] = {"hostname": host, "port": port, "authenticator": login and allowed}
    options |= {"auth_required": bool(login) and not from_the_start}
    options |= {"auth_require_tls": not from_the_start}
    options |= {"ssl_context": tls} if from_the_start else {"tls_context": tls}
    controller = Controller(box, **options)
    controller.start()
    try:
        yield box, f"{host}:{port}"
    finally:
        controller.stop()

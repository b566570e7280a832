"""The sample service `maxcloud.local/hello`: something to deploy before there is an image.

Standard library only. The variables of the service come as JSON in MAXCLOUD_SAMPLE_ENV.
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import FrameType
from urllib.parse import parse_qs, urlsplit

SLEEP_SECONDS_MAX = 10

# How long requests may go on after SIGTERM.
DRAIN_SECONDS = 20


class Sample(ThreadingHTTPServer):
    """The server; `page` is what it answers."""

    request_queue_size = 1024
    daemon_threads = True
    # Threads of idle connections would hold up the end.
    block_on_close = False

    def __init__(self, port: int, page: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.page = page
        self.is_leaving = False
        self._inside = 0
        self._change = threading.Condition()

    def server_bind(self) -> None:
        """Bind, without the look-up of this machine's name that HTTPServer adds."""
        TCPServer.server_bind(self)

    def count(self, difference: int) -> None:
        """Count a request in or out."""
        with self._change:
            self._inside += difference
            self._change.notify()

    def drain(self) -> None:
        """Wait until no request is inside."""
        with self._change:
            self._change.wait_for(lambda: not self._inside, DRAIN_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    server: Sample
    protocol_version = "HTTP/1.1"
    # One answer is two writes: without this the second waits for the first's acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.server.count(1)
        try:
            self._answer()
        finally:
            self.server.count(-1)

    def _answer(self) -> None:
        asked = parse_qs(urlsplit(self.path).query).get("sleep", ["0"])[-1]
        try:
            status, text = 200, self.server.page
            time.sleep(min(max(float(asked), 0), SLEEP_SECONDS_MAX))
        except ValueError:
            status, text = 400, "sleep must be a number of seconds, such as ?sleep=0.5\n"
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        if self.server.is_leaving:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *values: object) -> None:
        print(format % values, flush=True)  # noqa: T201 - it is what `logs` shows


def page(variables: dict[str, str]) -> str:
    """Return what the sample answers with these variables."""
    target = variables.get("TARGET")
    return (
        f"Hello {target or 'from max-cloud'}\n\n"
        f"revision  {variables.get('K_REVISION', '-')}\n"
        f"instance  {variables.get('HOSTNAME', '-')}\n\n"
        f"Change it:           maxcloud deploy --name {variables.get('K_SERVICE', 'hello')} "
        "--env TARGET=World\n"
        "See it scale:        open many at once with ?sleep=0.5\n"
    )


def main() -> None:
    """Serve until SIGTERM."""
    environment = {"HOSTNAME": os.environ.get("HOSTNAME", "-")}
    environment |= json.loads(os.environ.get("MAXCLOUD_SAMPLE_ENV", "{}"))
    port = int(os.environ["PORT"])
    server = Sample(port, page(environment))

    def leave(number: int, frame: FrameType | None) -> None:
        server.is_leaving = True
        # `shutdown` waits for the loop below, which runs in this thread.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, leave)
    print(f"listening on port {port}", flush=True)  # noqa: T201
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    server.drain()
    print("stopped", flush=True)  # noqa: T201
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""A TCP proxy on loopback, for a test to stand between clients and the servers that it starts."""

import functools
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

# Closing drops what is under way, as a network that fails does.
RESET = struct.pack("ii", 1, 0)

Connect = Callable[[], socket.socket]
"""Makes the connection to a server, or raises OSError."""


def to(port: int) -> Connect:
    """Connect to a port of loopback."""
    return functools.partial(socket.create_connection, ("127.0.0.1", port))


class Relay:
    """It carries each connection of a client to a server; where there is none it closes it."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def sent(self, count: int) -> None:
        """So many bytes of a client have passed; who counts them says what follows."""

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def cut(self) -> int:
        """Reset all connections that are open; return how many there were."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)
        return len(ends) // 2

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(10)
        self.cut()
        for thread in self._threads[1:]:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for ends in ((client, server, self.sent), (server, client, lambda _: None)):
                thread = threading.Thread(target=self._carry, args=ends)
                self._threads.append(thread)
                thread.start()

    def _carry(
        self, source: socket.socket, sink: socket.socket, passed: Callable[[int], None]
    ) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
                passed(len(piece))
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(source)
        source.close()

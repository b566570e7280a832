"""A TCP proxy that cuts the connection when so many bytes of a client have passed."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

RESET = struct.pack("ii", 1, 0)


class Cutter:
    """`cuts` are numbers of bytes, counted over all connections; each cuts all that are open.

    `at_cut` is called before the connections that were cut are answered again.
    """

    def __init__(
        self, port: int, cuts: Sequence[int], at_cut: Callable[[], object] = lambda: None
    ) -> None:
        self.made = 0
        self._target, self._cuts, self._at_cut = port, sorted(cuts), at_cut
        self._passed = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._open: set[socket.socket] = set()
        self._threads[0].start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for source, sink, counts in ((client, server, True), (server, client, False)):
                thread = threading.Thread(target=self._carry, args=(source, sink, counts))
                self._threads.append(thread)
                thread.start()

    def _carry(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
                if counts and self._is_time(len(piece)):
                    self._cut()
                    self._at_cut()
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            with self._lock:
                self._open.discard(end)
            end.close()

    def _is_time(self, count: int) -> bool:
        with self._lock:
            self._passed += count
            if self._cuts and self._passed >= self._cuts[0]:
                self._cuts.pop(0)
                self.made += 1
                return True
            return False

    def _cut(self) -> None:
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    end.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutter(
    port: int, cuts: Sequence[int], at_cut: Callable[[], object] = lambda: None
) -> Iterator[Cutter]:
    """Run a proxy to a port of loopback while the block runs."""
    made = Cutter(port, cuts, at_cut)
    try:
        yield made
    finally:
        made.close()

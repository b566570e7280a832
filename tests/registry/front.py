"""What stands before several replicas: each connection goes to the next one that is there."""

import itertools
import socket
from contextlib import suppress

from tests.relay import Relay


def front(*ports: int) -> Relay:
    """Carry connections to these ports of loopback, by turns."""
    turns = itertools.cycle(ports)

    def connect() -> socket.socket:
        for _ in ports:
            with suppress(OSError):
                return socket.create_connection(("127.0.0.1", next(turns)))
        raise ConnectionRefusedError

    return Relay(connect)

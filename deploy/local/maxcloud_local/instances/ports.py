"""Ports of loopback for the instances."""

import itertools
import os
import socket

from maxcloud_local.instances.running import CannotStart

# Below the ports that systems give to outgoing connections (Linux: from 32768, macOS: from 49152):
# no connection can take one away, and none that is refused can end up at itself.
FIRST, NUMBER = 20_000, 10_000

# Each engine begins somewhere else. Going round in a circle, no two instances that start at the
# same time get the same port.
_turn = itertools.count(os.getpid())


def free_port() -> int:
    """Return a port on which nobody listens; raises CannotStart when there is none."""
    for _ in range(NUMBER):
        port = FIRST + next(_turn) % NUMBER
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise CannotStart("CreateContainerError", "every port for instances is taken on this machine")

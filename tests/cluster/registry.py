"""The registry's settings, changed while it runs; what it holds stays."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from tests.cluster import node, settings
from tests.cluster.environment import CA_FILE, NODE_ADDRESS, REGISTRY_HOST, REGISTRY_PORT, STATE
from tests.cluster.processes import Process
from tests.cluster.progress import wait_until


def configure(sections: Mapping[str, Any]) -> None:
    """Restart the registry with these top-level sections of Distribution's configuration.

    `{"auth": {"token": …}, "notifications": {"endpoints": […]}}` are such; the empty mapping
    brings back the registry of a new cluster, which asks nobody who they are. Files that a
    section names must be readable on this machine. Returns when the registry answers.
    """
    configuration = settings.registry() | dict(sections)
    (STATE / "registry.json").write_text(json.dumps(configuration, indent=1))
    node.restart("registry")
    wait_until("the registry", answers, 30, Process("registry", []).log)


def answers() -> bool:
    """Whether the registry answers under its own name, be it with a refusal."""
    connection = connect()
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status in (200, 401)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def connect() -> http.client.HTTPSConnection:
    """A connection to the registry for a caller whose machine does not know its name."""
    return _Connection(REGISTRY_HOST, REGISTRY_PORT, timeout=10)


class _Connection(http.client.HTTPSConnection):
    def connect(self) -> None:
        plain = socket.create_connection((NODE_ADDRESS, self.port), self.timeout)
        context = ssl.create_default_context(cafile=CA_FILE)
        self.sock = context.wrap_socket(plain, server_hostname=self.host)

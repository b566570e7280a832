"""The test cluster with real keys for a while: the settings of `platform` and `mail`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from tests.cluster.environment import GATEWAY, SYSTEM_NAMESPACE, kubectl
from tests.journeys.platform import eventually

IN_SYSTEM = ("-n", SYSTEM_NAMESPACE)
WITH_KEYS = {"DEV_MODE": "false", "REGISTRATION": "verify", "LOG_LEVEL": "debug"}
WITHOUT_KEYS = {"DEV_MODE": "true", "REGISTRATION": None, "LOG_LEVEL": "info"}

ASKED = ("/api/v1/services", "/api/v1/auth/status", "/api/v1/auth/invites")


@contextmanager
def asking_for_keys(smtp_url: str) -> Iterator[None]:
    """Let every function ask for keys and mail go out while the block runs."""
    mail = ("secret", "generic", "mail", *IN_SYSTEM)
    kubectl("delete", "secret", "mail", *IN_SYSTEM, "--ignore-not-found")
    kubectl("create", *mail, f"--from-literal=smtp-url={smtp_url}")
    _settle(WITH_KEYS, status=401)
    try:
        yield
    finally:
        kubectl("delete", "secret", "mail", *IN_SYSTEM)
        _settle(WITHOUT_KEYS, status=200)


def _settle(settings: Mapping[str, str | None], status: int) -> None:
    patch = json.dumps({"data": settings})
    kubectl("patch", "configmap", "platform", *IN_SYSTEM, "--type=merge", "-p", patch)
    # A pod reads its settings when it starts; at once, for nobody is served by it now.
    selected = ("-l", "serving.knative.dev/service", "--force", "--grace-period=0")
    kubectl("delete", "pods", *IN_SYSTEM, *selected)

    def answers() -> list[int]:
        with httpx.Client(base_url=GATEWAY, timeout=60) as client:
            return [client.get(path).status_code for path in ASKED for _ in range(3)]

    eventually("answers", answers, 120, lambda seen: set(seen) == {status})

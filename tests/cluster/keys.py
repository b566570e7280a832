"""The test cluster with real keys for a while: the settings of `platform` and `mail`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx

from tests.cluster.environment import GATEWAY, SYSTEM_NAMESPACE, kubectl
from tests.journeys.platform import eventually

IN_SYSTEM = ("-n", SYSTEM_NAMESPACE)
WITH_KEYS = {"DEV_MODE": "false", "REGISTRATION": "verify", "LOG_LEVEL": "debug"}
WITHOUT_KEYS = {"DEV_MODE": "true", "REGISTRATION": None, "LOG_LEVEL": "info"}

# One route of each function that the world reaches; no key is good for any of them.
ASKED = (
    *("/api/v1/services", "/api/v1/auth/status", "/api/v1/auth/invites"),
    *("/api/v1/registry/images", "/api/v1/logs/nothing"),
)
REFUSED = 401


@contextmanager
def asking_for_keys(smtp_url: str) -> Iterator[None]:
    """Let every function ask for keys and mail go out while the block runs."""
    mail = ("secret", "generic", "mail", *IN_SYSTEM)
    kubectl("delete", "secret", "mail", *IN_SYSTEM, "--ignore-not-found")
    kubectl("create", *mail, f"--from-literal=smtp-url={smtp_url}")
    try:
        _settle(WITH_KEYS, lambda seen: seen == {REFUSED})
        yield
    finally:
        kubectl("delete", "secret", "mail", *IN_SYSTEM)
        _settle(WITHOUT_KEYS, lambda seen: max(seen) < 500 and REFUSED not in seen)


def _settle(settings: Mapping[str, str | None], is_settled: Callable[[set[int]], bool]) -> None:
    patch = json.dumps({"data": settings})
    kubectl("patch", "configmap", "platform", *IN_SYSTEM, "--type=merge", "-p", patch)
    # A pod reads its settings when it starts; at once, for nobody is served by it now.
    selected = ("-l", "serving.knative.dev/service", "--force", "--grace-period=0")
    kubectl("delete", "pods", *IN_SYSTEM, *selected)

    def answers() -> set[int]:
        with httpx.Client(base_url=GATEWAY, timeout=60) as client:
            return {client.get(path).status_code for path in ASKED for _ in range(3)}

    eventually("answers", answers, 120, is_settled)

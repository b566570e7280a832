"""What these tests have in common: how long something takes, and what holds an object."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from tests.cluster.environment import kubectl
from tests.journeys.platform import Found, eventually

WITHIN_SECONDS = 180

HOLD = "tests.maxcloud.dev/hold"
"""A finalizer that nobody but a test takes away."""


def installed_image() -> str:
    """Return the image of the platform that is there."""
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    return kubectl("get", "ksvc", "health", "-n", "mc-system", "-o", path)


def seconds(what: str, look: Callable[[], Found], until: Callable[[Found], bool]) -> float:
    """Return how long it takes until what is seen is as wanted."""
    start = time.monotonic()
    eventually(what, look, WITHIN_SECONDS, until)
    return time.monotonic() - start


def hold(service: str, namespace: str, *finalizers: str) -> None:
    """Let a service be held by finalizers; by none, it is let go."""
    patch = json.dumps({"metadata": {"finalizers": list(finalizers)}})
    kubectl("patch", "ksvc", service, "-n", namespace, "--type=merge", "-p", patch)

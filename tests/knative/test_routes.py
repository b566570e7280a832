"""One host, many functions: each fails alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster.environment import kubectl
from tests.journeys.platform import Platform, eventually


@contextmanager
def without(function: str, instead: dict[str, Any] | None = None) -> Iterator[None]:
    """Take a function away, perhaps put something else in its place; bring it back at the end."""
    namespace = ("-n", "mc-system")
    live = json.loads(kubectl("get", "ksvc", function, *namespace, "-o", "json"))
    kept = {key: live[key] for key in ("apiVersion", "kind", "spec")}
    metadata = {key: live["metadata"][key] for key in ("name", "namespace", "labels")}
    kubectl("delete", "ksvc", function, *namespace)
    try:
        if instead is not None:
            broken = {**kept, "metadata": metadata, "spec": instead}
            kubectl("create", "-f", "-", stdin=json.dumps(broken))
        yield
    finally:
        kubectl("delete", "ksvc", function, *namespace, "--ignore-not-found")
        # Not `apply`: what it owns, a later server-side apply of the installation would take away.
        kubectl("create", "-f", "-", stdin=json.dumps({**kept, "metadata": metadata}))
        kubectl("wait", f"ksvc/{function}", *namespace, "--for=condition=Ready", "--timeout=120s")


def status(platform: Platform, path: str) -> int:
    return platform.api("GET", path).status_code


def test_a_missing_function_leaves_the_others_working(platform: Platform) -> None:
    with without("services"):
        eventually("services", lambda: status(platform, "/api/v1/services"), 30, lambda s: s == 404)
        assert status(platform, "/api/v1/version") == 200
        assert status(platform, "/healthz") == 200
    eventually("services", lambda: status(platform, "/api/v1/services"), 30, lambda s: s == 200)


def test_a_function_that_cannot_start_leaves_the_others_working(platform: Platform) -> None:
    container = {"image": "dev.local/static-http:1", "command": ["/no/such/program"]}
    with without("health", {"template": {"spec": {"containers": [container]}}}):
        eventually("health", lambda: status(platform, "/healthz"), 30, lambda s: s >= 404)
        assert status(platform, "/api/v1/services") == 200
    eventually("health", lambda: status(platform, "/healthz"), 30, lambda s: s == 200)


def test_an_unknown_path_wakes_nobody(platform: Platform) -> None:
    answer = platform.api("GET", "/wp-login.php")
    assert (answer.status_code, answer.headers["server"], answer.text) == (404, "envoy", "")

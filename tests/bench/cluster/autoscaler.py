"""Settings of Knative's autoscaler, for as long as something is measured under them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.cluster.environment import kubectl

CONFIG = ("configmap", "config-autoscaler", "-n", "knative-serving")


@contextmanager
def settings(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set what is wanted inside the block, and afterwards what was there before."""
    before = json.loads(kubectl("get", *CONFIG, "-o", "json")).get("data", {})
    _patch(wanted)
    try:
        yield
    finally:
        _patch({name: before.get(name) for name in wanted})


def _patch(data: Mapping[str, str | None]) -> None:
    kubectl("patch", *CONFIG, "--type=merge", "-p", json.dumps({"data": data}))

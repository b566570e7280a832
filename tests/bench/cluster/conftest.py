import json
from collections.abc import Iterator

import httpx
import pytest

from tests.cluster.backend import Cluster
from tests.cluster.environment import kubectl
from tests.journeys import images
from tests.journeys.platform import Platform


@pytest.fixture(scope="session")
def platform() -> Platform:
    return Platform(Cluster())


@pytest.fixture(scope="session")
def image(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> str:
    archive = images.web(tmp_path_factory.mktemp("web") / "web.tar", page="bench")
    return platform.backend.push(archive, "bench")


@pytest.fixture
def static() -> Iterator[str]:
    """The host of the peer: a ksvc of a 2 MB static binary that answers at once."""
    container = {"image": "dev.local/static-http:1", "resources": {"requests": {"cpu": "25m"}}}
    spec = {"template": {"spec": {"containers": [container], "enableServiceLinks": False}}}
    ksvc = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "bench-static", "namespace": "default"},
        "spec": spec,
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(ksvc))
    kubectl("wait", "ksvc/bench-static", "--for=condition=Ready", "--timeout=60s")
    yield "bench-static.localhost"
    kubectl("delete", "ksvc", "bench-static")


@pytest.fixture
def client(platform: Platform) -> Iterator[httpx.Client]:
    """One for all requests: making one loads TLS's authorities, 30 ms that are not ours."""
    with httpx.Client(base_url=platform.backend.api_url, timeout=60) as client:
        yield client

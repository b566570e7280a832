"""What a tenant's instance reaches on a network that enforces policies, and what refuses it.

Each place that refuses it answers the same probe from a pod on the machine's own network, which no
policy binds: so what is seen is the policy's refusal, not a target that is dead.
"""

import json
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.cluster.environment import (
    API_SERVICE_ADDRESS,
    HOST_ADDRESS,
    METADATA_ADDRESS,
    NODE_ADDRESS,
    PUBLIC_ADDRESS,
    REGISTRY_PORT,
    kubectl,
)
from tests.journeys import images
from tests.keyed.cluster import Pod, Shop, shop
from tests.keyed.platform import Keyed, registered

pytestmark = pytest.mark.usefixtures("on_the_cluster")

# What it is, pods by namespace and label, and their port. The platform's own rules guard these.
GUARDED = [
    ("net-kourier, which hands out keys", "knative-serving/app=net-kourier-controller", 18000),
    ("the gateway's switch", "kourier-system/app=3scale-kourier-gateway", 9000),
    ("the gateway's inner door", "kourier-system/app=3scale-kourier-gateway", 8081),
    ("the gateway's probes", "kourier-system/app=3scale-kourier-gateway", 8090),
    ("the activator", "knative-serving/app=activator", 8012),
    ("the activator by HTTP/2", "knative-serving/app=activator", 8013),
    ("the autoscaler", "knative-serving/app=autoscaler", 8080),
    ("the broker", "knative-eventing/eventing.knative.dev/brokerRole=ingress", 8080),
    ("the broker's filter", "knative-eventing/eventing.knative.dev/brokerRole=filter", 8080),
    ("the broker's channel", "knative-eventing/messaging.knative.dev/role=dispatcher", 8080),
    ("PostgreSQL", "mc-system/app=postgres", 5432),
    ("the registry behind its door", "mc-system/app=distribution", 5000),
    ("the registry's storage", "mc-system/app=storage", 7070),
]

# Open to others, or no pods: here the tenant's own rules alone refuse.
BEYOND = [
    ("Knative's webhook", "knative-serving/app=webhook", 8443),
    ("the Kubernetes API", API_SERVICE_ADDRESS, 443),
    ("the Kubernetes API on its machine", NODE_ADDRESS, 6443),
    ("the kubelet", NODE_ADDRESS, 10250),
    ("a registry on a private address", NODE_ADDRESS, REGISTRY_PORT),
]

# Functions that a deploy has just woken: two that events reach, and one of the API.
WOKEN = ("reconcile", "status", "services")

REFUSED = "Connection refused"
SAID = "far away"


def address_of(where: str) -> str:
    """The address that is said, or that of a pod with a label: `namespace/label=value`."""
    namespace, _, label = where.partition("/")
    if not label:
        return where
    running = ("-n", namespace, "-l", label, "--field-selector=status.phase=Running")
    return kubectl("get", "pods", *running, "-o", "jsonpath={.items[0].status.podIP}")


@pytest.fixture(scope="module")
def image(keyed: Keyed, tmp_path_factory: pytest.TempPathFactory) -> str:
    archive = images.web(tmp_path_factory.mktemp("reach") / "web.tar", page="a shop")
    return keyed.platform.backend.push(archive, "reach")


@pytest.fixture(scope="module")
def shops(
    keyed: Keyed, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Shop, Shop, Shop]]:
    """Ada's, another one of hers, and one of somebody else."""
    folder = tmp_path_factory.mktemp("people")
    ada, eve = (registered(keyed, folder, who) for who in ("ada", "eve"))
    with ExitStack() as stack:
        ours, next_door, theirs = (
            stack.enter_context(shop(owner, image)) for owner in (ada, ada, eve)
        )
        yield ours, next_door, theirs


@pytest.fixture(scope="module")
def tenant(shops: tuple[Shop, Shop, Shop]) -> Pod:
    return shops[0].instance


@pytest.fixture(scope="module")
def bystander(image: str) -> Iterator[Pod]:
    """A pod whose own namespace has no policy."""
    yield from standing(image)


@pytest.fixture(scope="module")
def unbound(image: str) -> Iterator[Pod]:
    """A pod on the machine's own network, which a tenant cannot have: no policy binds it."""
    yield from standing(image, hostNetwork=True)


def standing(image: str, **spec: Any) -> Iterator[Pod]:
    name = f"k-{uuid.uuid4().hex[:8]}"
    container = {"name": "c", "image": image, "command": ["/bin/busybox", "sleep", "3600"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    kubectl("wait", f"pod/{name}", "-n", "default", "--for=condition=Ready", "--timeout=60s")
    yield Pod("default", name, "c")
    kubectl("delete", "pod", name, "-n", "default")


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """The port of a server beside the node, at each of this machine's addresses there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(SAID)))
            self.end_headers()
            self.wfile.write(SAID.encode())

        def log_message(self, *_: object) -> None:
            """Keep the test's output for the test."""

    first = ThreadingHTTPServer((HOST_ADDRESS, 0), Handler)
    port = first.server_port
    others = [ThreadingHTTPServer((at, port), Handler) for at in (PUBLIC_ADDRESS, METADATA_ADDRESS)]
    servers = [first, *others]
    threads = [threading.Thread(target=each.serve_forever) for each in servers]
    for thread in threads:
        thread.start()
    yield port
    for each in servers:
        each.shutdown()
        each.server_close()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(("what", "where", "port"), [*GUARDED, *BEYOND], ids=str)
def test_an_instance_is_refused(
    tenant: Pod, unbound: Pod, what: str, where: str, port: int
) -> None:
    address = address_of(where)
    assert unbound.refusal(address, port) == ""
    assert REFUSED in tenant.refusal(address, port), what


@pytest.mark.parametrize(("what", "where", "port"), GUARDED, ids=str)
def test_the_platform_refuses_whoever_is_bound_by_nothing_of_his_own(
    bystander: Pod, what: str, where: str, port: int
) -> None:
    assert REFUSED in bystander.refusal(address_of(where), port), what


def test_functions_are_reached_through_the_gateway_alone(
    shops: tuple[Shop, Shop, Shop], tenant: Pod, bystander: Pod, unbound: Pod
) -> None:
    _, next_door, _ = shops
    next_door.owner("deploy", "--name", next_door.name, "--env", f"TURN={uuid.uuid4()}")
    for function in WOKEN:
        address = address_of(f"mc-system/serving.knative.dev/service={function}")
        for port in (8012, 9090):
            assert unbound.refusal(address, port) == ""
            assert REFUSED in tenant.refusal(address, port), function
            assert REFUSED in bystander.refusal(address, port), function


def test_instances_are_reached_through_the_gateway_alone(
    shops: tuple[Shop, Shop, Shop], tenant: Pod, bystander: Pod, unbound: Pod
) -> None:
    for other in shops[1:]:
        address = other.instance.address
        # The queue-proxy's, and the container's own, which would go past it.
        for port in (8012, 80):
            assert unbound.refusal(address, port) == ""
            assert REFUSED in tenant.refusal(address, port)
            assert REFUSED in bystander.refusal(address, port)


@pytest.mark.parametrize("address", [HOST_ADDRESS, METADATA_ADDRESS])
def test_an_instance_does_not_reach_its_machines_neighbours(
    tenant: Pod, bystander: Pod, server: int, address: str
) -> None:
    assert bystander.refusal(address, server) == ""
    assert REFUSED in tenant.refusal(address, server)


def test_an_instance_reaches_names_public_urls_and_the_internet(
    shops: tuple[Shop, Shop, Shop], tenant: Pod, server: int
) -> None:
    gateway = "kourier.kourier-system.svc.cluster.local"
    assert HOST_ADDRESS in tenant.run("nslookup", "host.maxcloud.test")
    assert tenant.run("wget", "-qO-", f"http://{PUBLIC_ADDRESS}:{server}") == SAID
    for other in shops:
        host = ("--header", f"Host: {other.name}.localhost")
        assert tenant.run("wget", "-qO-", *host, f"http://{gateway}") == "a shop"
    # The door for the world knows no names of the inside.
    inner = ("--header", "Host: reconcile.mc-system.svc.cluster.local")
    with pytest.raises(subprocess.CalledProcessError, match="404 Not Found"):
        tenant.run("wget", "-qO-", *inner, f"http://{gateway}")

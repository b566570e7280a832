"""The real cluster as the platform that faults happen to."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psutil

from tests.cluster.certificates import Authority
from tests.cluster.environment import GATEWAY, HOST_ADDRESS, KUBECONFIG, REGISTRY, kubectl
from tests.cluster.inside import address, database_url
from tests.cluster.processes import API_SERVER, PKI
from tests.faults.between import Between, standing_between
from tests.faults.compare import Object
from tests.faults.target import Target, add_variables
from tests.journeys.platform import eventually

# What every pod of a function carries, and no process of this machine.
IN_A_POD = "KUBERNETES_SERVICE_HOST"


class Cluster:
    """Implements `tests.faults.target.Backend`."""

    api_url = GATEWAY
    image = f"{REGISTRY}/hello"
    kubeconfig = KUBECONFIG
    patience = 240.0

    def __init__(self) -> None:
        trusted = ssl.create_default_context(cafile=PKI / "kubernetes-ca.crt")
        trusted.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
        self._kubernetes = httpx.Client(base_url=API_SERVER, verify=trusted, timeout=30)

    def close(self) -> None:
        self._kubernetes.close()

    def database(self, role: str = "postgres") -> str:
        names = {"postgres": "owner", "mc_worker": "worker", "mc_api": "api"}
        return database_url(names[role])

    def broker(self) -> str:
        return f"http://{address('broker-ingress', 'knative-eventing')}/mc-system/maxcloud"

    def read(self, path: str) -> Any:
        return self.write("GET", path)

    def write(self, method: str, path: str, body: Object | None = None) -> Any:
        media = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = self._kubernetes.request(method, path, json=body, headers={"Content-Type": media})
        answer.raise_for_status()
        return answer.json()

    def processes(self, function: str) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if "maxcloud.runtime" in (process.info["cmdline"] or []):
                environment = process.environ()
                if environment.get("FUNCTION_TARGET") == function and IN_A_POD in environment:
                    found.append(process)
        return found

    def lose(self, function: str) -> None:
        label = f"serving.knative.dev/service={function}"
        kubectl("delete", "pod", "-l", label, "--force", "--grace-period=0", "-n", "mc-system")

    @contextmanager
    def kubernetes_through_us(self) -> Iterator[Between]:
        names = f"DNS:kubernetes.default.svc,IP:{HOST_ADDRESS}"
        authority = Authority(PKI, "kubernetes-ca")
        identity = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        identity.load_cert_chain(*authority.issue("between", "/CN=between", names))
        # At the port of a Kubernetes API: the functions' policies let them out to no other.
        with standing_between(API_SERVER, identity, HOST_ADDRESS, 6443) as between:
            there = {"KUBERNETES_SERVICE_HOST": HOST_ADDRESS}
            there["KUBERNETES_SERVICE_PORT"] = str(between.port)
            with Target(self).running_otherwise(
                ("reconcile", "status"), lambda _, pod: add_variables(pod, there)
            ):
                yield between

    def postgres(self) -> list[psutil.Process]:
        # Between its end and its new start there is none, and a new child is like it for a moment.
        [first] = eventually(
            "PostgreSQL", _first_of_postgres, self.patience, lambda found: len(found) == 1
        )
        return [first, *first.children(recursive=True)]

    def restart_postgres(self) -> None:
        # Its container ends with it, and the kubelet starts another on the same data.
        self.postgres()[0].kill()

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        """Have so many pods of a deployment, and wait until it is so."""
        in_namespace = ("-n", namespace)
        kubectl("scale", f"deployment/{deployment}", f"--replicas={replicas}", *in_namespace)
        if replicas:
            kubectl("rollout", "status", f"deployment/{deployment}", *in_namespace)
        else:
            found = kubectl("get", f"deployment/{deployment}", "-o", "json", *in_namespace)
            labels: dict[str, str] = json.loads(found)["spec"]["selector"]["matchLabels"]
            selector = ",".join(f"{key}={value}" for key, value in labels.items())
            kubectl("wait", "pod", "-l", selector, "--for=delete", "--timeout=120s", *in_namespace)


def _first_of_postgres() -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "max_connections=200" in (process.info["cmdline"] or [])
    ]

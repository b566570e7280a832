"""The test cluster as the platform of the journeys."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from pathlib import Path

import psutil

from tests.cluster import images, registry
from tests.cluster.environment import GATEWAY, REGISTRY, SYSTEM_NAMESPACE, kubectl

NAMESPACE = "default"
"""Where DEV_MODE's organisation lives."""


class Cluster:
    """Implements `tests.journeys.platform.Backend`."""

    api_url = GATEWAY
    sample = f"{REGISTRY}/hello:latest"

    def push(self, archive: Path, name: str) -> str:
        """Push to the cluster's registry, which asks nobody who they are."""
        reference = f"{REGISTRY}/journeys/{name}:latest"
        images.push_image(archive, reference)
        return reference

    def digest(self, reference: str) -> str:
        """Return what the registry holds under a reference now."""
        _, _, rest = reference.partition("/")
        repository, _, tag = rest.rpartition(":")
        connection = registry.connect()
        try:
            accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
            connection.request("HEAD", f"/v2/{repository}/manifests/{tag}", headers=accept)
            found = connection.getresponse().getheader("Docker-Content-Digest")
        finally:
            connection.close()
        if found is None:
            raise LookupError(f"the registry has no {reference}")
        return found

    def instances(self, service: str) -> int:
        """Count the pods that are not on their way out."""
        pods = self._items("pods", service)
        return sum("deletionTimestamp" not in pod["metadata"] for pod in pods)

    def memory(self, function: str) -> list[int]:
        """Look at the processes of this machine, which is the cluster's one node."""
        label = f"serving.knative.dev/service={function}"
        pods = json.loads(kubectl("get", "pods", "-n", SYSTEM_NAMESPACE, "-l", label, "-o", "json"))
        containers = [
            status["containerID"].partition("://")[2]
            for pod in pods["items"]
            if "deletionTimestamp" not in pod["metadata"]
            for status in pod["status"].get("containerStatuses", [])
            if status["name"] == "user-container" and "running" in status["state"]
        ]
        sizes = []
        for process in psutil.process_iter():
            with suppress(OSError, psutil.NoSuchProcess):
                groups = Path(f"/proc/{process.pid}/cgroup").read_text(encoding="utf-8")
                if any(container in groups for container in containers):
                    sizes.append(process.memory_info().rss)
        return sizes

    def left_behind(self, service: str) -> list[str]:
        """Return every object of the namespace that carries the service's label or name."""
        kinds = ("ksvc", "configurations", "routes", "revisions", "deployments", "pods", "services")
        return [
            f"{item['kind']}/{item['metadata']['name']}"
            for kind in kinds
            for item in self._items(kind, service)
        ]

    def revisions(self, service: str) -> list[str]:
        """Return the names of a service's revisions, in order."""
        return sorted(item["metadata"]["name"] for item in self._items("revisions", service))

    def delete_behind_our_back(self, service: str) -> None:
        """Delete a Knative Service with kubectl."""
        kubectl("delete", "ksvc", service, "-n", NAMESPACE, "--wait=false")

    def read(self, path: str) -> str:
        """Return what the Kubernetes API has at a path, as it comes."""
        return kubectl("get", "--raw", path)

    @property
    def database(self) -> str:
        """The owner's URL of the database, as this machine reaches it."""
        system = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}"
        address = json.loads(self.read(f"{system}/services/postgres"))["spec"]["clusterIP"]
        secret = json.loads(self.read(f"{system}/secrets/database"))["data"]
        url = base64.b64decode(secret["owner-url"]).decode()
        return url.replace("@postgres.mc-system/", f"@{address}/")

    def _items(self, kind: str, service: str) -> list[dict[str, dict[str, str]]]:
        listed = json.loads(kubectl("get", kind, "-n", NAMESPACE, "-o", "json"))["items"]
        label = "serving.knative.dev/service"
        return [
            item
            for item in listed
            if item["metadata"]["name"] == service
            or item["metadata"].get("labels", {}).get(label) == service
        ]

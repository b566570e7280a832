"""The local engine as the platform of the journeys: `maxcloud dev`, as a user starts it."""

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from tests.journeys.platform import MAXCLOUD, eventually
from tests.ports import free_port

SERVING = "/apis/serving.knative.dev/v1/namespaces/default"
CORE = "/api/v1/namespaces/default"
SETTINGS = "/api/v1/namespaces/knative-serving/configmaps/config-autoscaler"


def container_engine() -> str | None:
    """Return the container engine of this machine that answers, or None."""
    for name in filter(shutil.which, ("podman", "docker")):
        if subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return name
    return None


class Engine:
    """Implements `tests.journeys.platform.Backend`."""

    sample = "maxcloud.local/hello"

    def __init__(self, data: Path) -> None:
        self.data = data
        self.api_url = f"http://localhost:{free_port()}"
        self.process: subprocess.Popen[bytes] | None = None
        self.pushed: dict[str, str] = {}
        self.output = data.with_name(f"{data.name}.log")

    def start(self, *words: str, **options: Any) -> None:
        """Start it and wait until it has said all it has to say."""
        port = self.api_url.rpartition(":")[2]
        command = [str(MAXCLOUD), "dev", "--port", port, "--data-dir", str(self.data), *words]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True, **options
            )
        eventually("start", self.said, 60, lambda said: "Kubernetes' view" in said or self.gone())
        assert not self.gone(), self.said()

    def said(self) -> str:
        """Return what it has printed."""
        return self.output.read_text(encoding="utf-8")

    def gone(self) -> bool:
        """Tell whether the process has ended."""
        return self.process is None or self.process.poll() is not None

    def stop(self) -> None:
        """End it as Ctrl-C does; it must end well."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(60) == 0, self.said()

    def forget_images(self) -> None:
        """Remove what was pushed; the same image under another name is somebody else's."""
        for reference, engine in self.pushed.items():
            subprocess.run([engine, "rmi", reference], capture_output=True, check=False)

    def kill(self) -> None:
        """End it without a warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def push(self, archive: Path, name: str) -> str:
        """Give the image to the container engine, as a build does."""
        engine = container_engine()
        if engine is None:
            pytest.skip("no container engine answers on this machine: install Podman or Docker")
        loaded = subprocess.run(
            [engine, "load", "--input", str(archive)], capture_output=True, text=True, check=True
        )
        reference = f"localhost/journeys/{name}:latest"
        image = loaded.stdout.strip().rpartition(" ")[2]
        subprocess.run([engine, "tag", image, reference], check=True)
        self.pushed[reference] = engine
        return reference

    def instances(self, service: str) -> int:
        """Count the pods that are not on their way out."""
        label = f"serving.knative.dev/service={service}"
        pods = self.kubernetes("GET", f"{CORE}/pods", params={"labelSelector": label})["items"]
        return sum("deletionTimestamp" not in pod["metadata"] for pod in pods)

    def memory(self, function: str) -> list[int]:
        """Look at the engine's processes."""
        assert self.process is not None
        sizes = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
                if child.environ().get("FUNCTION_TARGET") == function:
                    sizes.append(child.memory_info().rss)
        return sizes

    def left_behind(self, service: str) -> list[str]:
        """Return every object of the namespace that carries the service's label or name."""
        listed = [
            item
            for path in (f"{SERVING}/services", f"{SERVING}/revisions", f"{CORE}/pods")
            for item in self.kubernetes("GET", path)["items"]
        ]
        label = "serving.knative.dev/service"
        return [
            item["metadata"]["name"]
            for item in listed
            if service in {item["metadata"]["name"], item["metadata"].get("labels", {}).get(label)}
        ]

    def revisions(self, service: str) -> list[str]:
        """Return the names of a service's revisions, in order."""
        label = f"serving.knative.dev/service={service}"
        params = {"labelSelector": label}
        listed = self.kubernetes("GET", f"{SERVING}/revisions", params=params)["items"]
        return sorted(item["metadata"]["name"] for item in listed)

    def delete_behind_our_back(self, service: str) -> None:
        """Delete a Knative Service through the Kubernetes API."""
        self.kubernetes("DELETE", f"{SERVING}/services/{service}")

    def kubernetes(self, method: str, path: str, **options: Any) -> Any:
        """Ask the engine's Kubernetes API as kubectl does."""
        return self._asked(method, path, **options).json()

    def read(self, path: str) -> str:
        """Return what the Kubernetes API has at a path, as it comes."""
        return self._asked("GET", path).text

    @property
    def database(self) -> str:
        """The owner's URL of the database."""
        return f"postgresql://postgres@/postgres?host={self.data / 'postgres'}"

    def _asked(self, method: str, path: str, **options: Any) -> httpx.Response:
        config = yaml.safe_load((self.data / "kubeconfig").read_text(encoding="utf-8"))
        [cluster], [user] = config["clusters"], config["users"]
        # The certificate is made anew at each start; whether it is checked, kubectl's tests show.
        with httpx.Client(base_url=cluster["cluster"]["server"], verify=False) as client:  # noqa: S501
            headers = {"Authorization": f"Bearer {user['user']['token']}"}
            answer = client.request(
                method, path, headers=headers | options.pop("headers", {}), **options
            )
        return answer.raise_for_status()

    def sleep_after(self, seconds: int) -> None:
        """Set, where Knative has it, how long a service is without requests until it sleeps."""
        self.kubernetes(
            "PATCH",
            SETTINGS,
            content=json.dumps({"data": {"stable-window": f"{seconds}s"}}),
            headers={"Content-Type": "application/merge-patch+json"},
        )


@contextmanager
def engine(*words: str, **options: Any) -> Iterator[Engine]:
    """Run an engine with an empty data folder, and leave nothing behind."""
    # Short, because a socket lies there, and reachable for PostgreSQL's own user.
    folder = Path(tempfile.mkdtemp(prefix="mc-"))
    folder.chmod(0o755)
    started = Engine(folder / "data")
    try:
        started.start(*words, **options)
        started.sleep_after(6)
        yield started
    finally:
        if not started.gone():
            started.stop()
        started.forget_images()
        shutil.rmtree(folder, ignore_errors=True)

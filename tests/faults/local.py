"""The local engine as the platform that faults happen to."""

import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from tests.faults.between import Between, standing_between
from tests.faults.compare import Object
from tests.local.backend import Engine

SYSTEM = "/api/v1/namespaces/mc-system"

BROKER = "/apis/eventing.knative.dev/v1/namespaces/mc-system/brokers/maxcloud"


class Local:
    """Implements `tests.faults.target.Backend`."""

    image = "maxcloud.local/hello"
    patience = 60.0

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.api_url = engine.api_url
        self.folder = engine.data / "postgres"
        self.kubeconfig = engine.data / "kubeconfig"

    def database(self, role: str = "postgres") -> str:
        return f"postgresql://{role}@/postgres?host={self.folder}"

    def broker(self) -> str:
        return str(self.read(BROKER)["status"]["address"]["url"])

    def read(self, path: str) -> Any:
        return self.engine.kubernetes("GET", path)

    def write(self, method: str, path: str, body: Object | None = None) -> Any:
        merge = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        headers = {"Content-Type": "application/json"} | merge
        content = None if body is None else json.dumps(body)
        return self.engine.kubernetes(method, path, content=content, headers=headers)

    def processes(self, function: str) -> list[psutil.Process]:
        return [each for each in self._children() if _target(each) == function]

    def lose(self, function: str) -> None:
        for process in self.processes(function):
            process.kill()
        label = {"labelSelector": f"serving.knative.dev/service={function}"}
        for pod in self.engine.kubernetes("GET", f"{SYSTEM}/pods", params=label)["items"]:
            with suppress(httpx.HTTPStatusError):  # it has gone by itself
                self.write("DELETE", f"{SYSTEM}/pods/{pod['metadata']['name']}")

    @contextmanager
    def kubernetes_through_us(self) -> Iterator[Between]:
        before = self.kubeconfig.read_text()
        server: str = yaml.safe_load(before)["clusters"][0]["cluster"]["server"]
        identity = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        identity.load_cert_chain(self.engine.data / "kubernetes.pem")
        with standing_between(server, identity, "127.0.0.1") as between:
            self.kubeconfig.write_text(before.replace(server, f"https://127.0.0.1:{between.port}"))
            try:
                self._start_anew()
                yield between
            finally:
                self.kubeconfig.write_text(before)
                self._start_anew()

    def postgres(self) -> list[psutil.Process]:
        pid = int((self.folder / "postmaster.pid").read_text().split()[0])
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]

    def restart_postgres(self) -> None:
        control = Path(self.postgres()[0].exe()).with_name("pg_ctl")
        command = [str(control), "restart", "--mode=immediate", "--silent", "--wait"]
        command += [f"--pgdata={self.folder}", f"--log={self.folder / 'log'}"]
        # PostgreSQL does not run as root.
        owner = self.folder.stat()
        identity: dict[str, Any] = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        subprocess.run(command, check=True, cwd="/", **(identity if os.geteuid() == 0 else {}))

    def _start_anew(self) -> None:
        """Have nobody go on who has read the kubeconfig as it was."""
        for function in ("reconcile", "status"):
            self.lose(function)

    def _children(self) -> list[psutil.Process]:
        assert self.engine.process is not None
        return psutil.Process(self.engine.process.pid).children(recursive=True)


def _target(process: psutil.Process) -> str | None:
    try:
        found: str | None = process.environ().get("FUNCTION_TARGET")
    except psutil.Error:
        return None
    return found

"""The platform that faults happen to: the local engine, or the real cluster."""

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import httpx
import psutil
import psycopg
from psycopg.rows import dict_row

from maxcloud.events import PING
from tests.faults.between import Between
from tests.faults.compare import Object, Row, contradictions
from tests.faults.journal import Journal, Told

# Where the functions are.
KSVCS = "/apis/serving.knative.dev/v1/namespaces/mc-system/services"

SERVICE_ID = "maxcloud.dev/service-id"

# As the sweep would find them some minutes later: whatever waits is due.
DUE = "update services set next_attempt_at = now() where status in ('pending', 'deleting')"


class Backend(Protocol):
    """What a platform lets a test do to it."""

    api_url: str
    image: str
    """An image that answers at once, and needs nothing outside."""
    kubeconfig: Path
    """What leads to the Kubernetes API."""
    patience: float
    """How many seconds anything may take at the most."""

    def database(self, role: str = "postgres") -> str:
        """Return the database's address for its owner or another role."""

    def broker(self) -> str:
        """Return where events are published."""

    def read(self, path: str) -> Any:
        """Read from the Kubernetes API, as an administrator."""

    def write(self, method: str, path: str, body: Object | None = None) -> Any:
        """Create (POST), replace (PUT), merge (PATCH) or delete what is at a path."""

    def processes(self, function: str) -> list[psutil.Process]:
        """Return the processes of a function."""

    def lose(self, function: str) -> None:
        """End a function's processes without a warning, and have its pods be gone."""

    def kubernetes_through_us(self) -> AbstractContextManager[Between]:
        """Have `reconcile` and `status` reach the Kubernetes API through a test, for a while."""

    def postgres(self) -> list[psutil.Process]:
        """Return the processes of the database, its first one in front."""

    def restart_postgres(self) -> None:
        """End the database without a warning, and have it started again."""


class Target:
    """A platform with a journal of what its clients were told."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.journal = Journal(backend.api_url)
        # What is there already is somebody else's, and may have lost its database since.
        self._others = [row["id"] for row in self.rows("select id from services")]
        self._strangers = {str(id) for id in self._others} | set(map(_service_of, self._managed()))

    def close(self) -> None:
        self.journal.close()

    def rows(self, query: str, *values: object) -> list[Row]:
        """Ask the database as its owner, who sees everything."""
        with psycopg.connect(self.backend.database(), row_factory=dict_row) as connection:
            connection.execute("set row_security = off")
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def objects(self) -> list[Object]:
        """Return every Knative Service that max-cloud wrote, but for what was there before."""
        return [each for each in self._managed() if _service_of(each) not in self._strangers]

    def _managed(self) -> list[Object]:
        found: list[Object] = self.backend.read("/apis/serving.knative.dev/v1/services")["items"]
        return [each for each in found if SERVICE_ID in each["metadata"].get("labels", {})]

    def disagreement(self, told: list[Told] | None = None) -> list[str]:
        """Compare rows, cluster and what clients were told, now."""
        return contradictions(
            self.rows("select * from services where id <> all(%s) order by name", self._others),
            self.rows("select * from tombstones"),
            self.objects(),
            self.journal.told if told is None else told,
        )

    def sweep(self) -> None:
        """Let the timer's next sweep come, with everything that waits due."""
        self.rows(DUE)
        headers = {
            "ce-specversion": "1.0",
            "ce-id": f"sweep-{time.monotonic_ns()}",
            "ce-source": "/tests/faults",
            "ce-type": PING,
        }
        httpx.post(self.backend.broker(), headers=headers, timeout=30).raise_for_status()

    def agrees(self) -> float:
        """Return after how many seconds everything agrees; fail with what does not."""
        began = time.monotonic()
        while wrong := self.disagreement():
            assert time.monotonic() < began + self.backend.patience, "\n".join(wrong)
            time.sleep(0.1)
        return time.monotonic() - began

    def until(self, what: str, look: Callable[[], object], within: float | None = None) -> float:
        """Wait until something is so, and return the seconds."""
        began, within = time.monotonic(), within or self.backend.patience
        while not look():
            assert time.monotonic() < began + within, f"{what}: not within {within} s"
            time.sleep(0.05)
        return time.monotonic() - began

    def kill(self, function: str) -> int:
        """End a function's processes without a warning; return how many there were."""
        found = self.backend.processes(function)
        for each in found:
            each.kill()
        return len(found)

    @contextmanager
    def running_otherwise(
        self, functions: Iterable[str], change: Callable[[str, Object], None]
    ) -> Iterator[None]:
        """Run functions with a changed pod for a while, each in a revision of its own."""
        before = {function: self.backend.read(f"{KSVCS}/{function}") for function in functions}
        for function, live in before.items():
            changed = copy.deepcopy(live)
            change(function, changed["spec"]["template"]["spec"])
            self._put(function, changed["spec"])
        try:
            yield
        finally:
            for function, live in before.items():
                self._put(function, live["spec"])

    def _put(self, function: str, spec: Object) -> None:
        path = f"{KSVCS}/{function}"
        self.backend.write("PUT", path, {**self.backend.read(path), "spec": spec})
        self.until(function, lambda: _is_ready(self.backend.read(path)), 120)

    @contextmanager
    def without(self, *paths: str) -> Iterator[None]:
        """Take objects away, and make them anew as they were."""
        kept = []
        for path in paths:
            live = self.backend.read(path)
            metadata = {
                key: live["metadata"][key]
                for key in ("name", "namespace", "labels", "annotations")
                if key in live["metadata"]
            }
            kept.append({**live, "metadata": metadata})
            self.backend.write("DELETE", path)
            # Until its controller has let it go, none can be made in its place.
            self.until(f"the end of {path}", partial(self._is_gone, path))
        try:
            yield
        finally:
            for path, made in zip(paths, kept, strict=True):
                made.pop("status", None)
                self.backend.write("POST", path.rpartition("/")[0], made)

    def _is_gone(self, path: str) -> bool:
        try:
            self.backend.read(path)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            return True
        return False


def add_variables(pod: Object, variables: Mapping[str, str]) -> None:
    """Give a pod's container more variables."""
    pod["containers"][0]["env"] += [{"name": k, "value": v} for k, v in variables.items()]


def _service_of(ksvc: Object) -> str:
    id: str = ksvc["metadata"]["labels"][SERVICE_ID]
    return id


def _is_ready(ksvc: Object) -> bool:
    status = ksvc.get("status", {})
    conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
    is_seen = status.get("observedGeneration") == ksvc["metadata"]["generation"]
    return is_seen and conditions.get("Ready") == "True"

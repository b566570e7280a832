"""What a journey may use of the platform it runs on."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx

MAXCLOUD = Path(sys.executable).parent / "maxcloud"

Found = TypeVar("Found")


class Backend(Protocol):
    """What a platform under test does for its journeys, beside being one."""

    api_url: str

    sample: str
    """The reference of an image that is always there and says hello."""

    def push(self, archive: Path, name: str) -> str:
        """Put an image archive where services can pull it; return its reference."""

    def instances(self, service: str) -> int:
        """Return how many instances of a service run now."""

    def memory(self, function: str) -> list[int]:
        """Return the resident bytes of each instance of one of the platform's functions."""

    def left_behind(self, service: str) -> list[str]:
        """Return what the cluster still has of a service."""

    def revisions(self, service: str) -> list[str]:
        """Return the names of the revisions that the cluster has of a service."""

    def delete_behind_our_back(self, service: str) -> None:
        """Delete a service's Knative Service as somebody with kubectl would."""


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def seconds(self, step: str) -> float:
        """Return when a timed step was reached."""
        found = re.search(rf"{step} +([0-9.]+) s", self.err)
        assert found, self.err
        return float(found[1])


@dataclass(frozen=True)
class Deploying:
    """A command that goes on."""

    process: subprocess.Popen[str]

    def done(self) -> Done:
        """Wait for its end."""
        out, err = self.process.communicate(timeout=400)
        return Done(self.process.returncode, out, err)


@dataclass(frozen=True)
class Platform:
    """The platform as a user has it: a command line and URLs."""

    backend: Backend

    def maxcloud(
        self, *arguments: str, code: int | None = 0, env: dict[str, str] | None = None
    ) -> Done:
        """Run the command line; it must end with this exit code, None for any."""
        command = [str(MAXCLOUD), "--api-url", self.backend.api_url, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=400, check=False, env=env
        )
        said = Done(done.returncode, done.stdout, done.stderr)
        assert code is None or said.code == code, f"{arguments}: {said}"
        return said

    @contextmanager
    def start(self, *arguments: str) -> Iterator[Deploying]:
        """Start the command line, and end it when nobody has waited for it."""
        command = [str(MAXCLOUD), "--api-url", self.backend.api_url, *arguments]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield Deploying(process)
            finally:
                process.terminate()

    def url(self, name: str) -> str:
        """Return the URL that a service of this name has."""
        return f"http://{name}.{urlsplit(self.backend.api_url).netloc}"

    def get(self, url: str, timeout: float = 60) -> httpx.Response:
        """Ask a service by its URL; the name goes into Host, so that no resolver is needed."""
        parts = urlsplit(url)
        with httpx.Client(base_url=self.backend.api_url, timeout=timeout) as client:
            target = parts._replace(scheme="", netloc="").geturl() or "/"
            return client.get(target, headers={"Host": parts.netloc})

    def api(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask the API itself."""
        with httpx.Client(base_url=self.backend.api_url, timeout=60) as client:
            return client.request(method, path, **options)


def eventually(
    what: str, look: Callable[[], Found], within: float, until: Callable[[Found], bool]
) -> Found:
    """Look until what is seen is as wanted; fail with the last sight after `within` seconds."""
    end = time.monotonic() + within
    while True:
        seen = look()
        if until(seen):
            return seen
        assert time.monotonic() < end, f"{what}: still {seen!r} after {within} s"
        time.sleep(0.25)

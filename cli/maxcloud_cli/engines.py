"""Images of this machine's own container engine, Podman or Docker, whichever has one."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

_ENGINES = ("podman", "docker")


class NoSuchImage(Exception):
    """Neither a file nor an image of an engine has this name."""


class EngineFailed(Exception):
    """The engine has the image and does not hand it out."""


@dataclass(frozen=True)
class EngineImage:
    """An image that an engine has; `id` is the digest of its config, or nothing of ours."""

    engine: str
    name: str
    id: str

    @contextmanager
    def saved(self) -> Iterator[Path]:
        """Write the image to a file that lives as long as the context, and yield that."""
        with TemporaryDirectory(prefix="maxcloud-save-") as folder:
            target = Path(folder, "image.tar")
            form = ["--format", "docker-archive", "--quiet"] if self.engine == "podman" else []
            done = _run(self.engine, "save", *form, "--output", str(target), self.name)
            if done.returncode:
                said = done.stderr.strip().rpartition("\n")[2]
                raise EngineFailed(f"{self.engine} cannot save {self.name}: {said}")
            yield target


def find(name: str) -> EngineImage:
    """Return an engine's image of this name or id; NoSuchImage when none has it."""
    engines = [engine for engine in _ENGINES if shutil.which(engine)]
    for engine in engines if not name.startswith("-") else []:
        done = _run(engine, "image", "inspect", name)
        if done.returncode == 0:
            id = str(json.loads(done.stdout)[0]["Id"])
            return EngineImage(engine, name, f"sha256:{id.removeprefix('sha256:')}")
    asked = f"{' and '.join(engines)} know no image of this name" if engines else ""
    said = asked or "there is neither Podman nor Docker that could have it"
    raise NoSuchImage(f"{name} is no file here, and {said}")


def _run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - the engine's own name, found on the path
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )

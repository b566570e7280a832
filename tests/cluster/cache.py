"""Things that are made once and kept, by one process at a time."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.environment import CACHE


def made(path: Path, make: Callable[[Path], None]) -> Path:
    """Return `path`, `{what}-{key of its sources}` in the cache; `make(part)` makes it if missing.

    It gets its name when it is whole, so that nobody ever sees a half, and then what was made
    from other sources goes.
    """
    if path.exists():
        return path
    what = path.name.rpartition("-")[0]
    with only_one(what):
        if not path.exists():
            part = path.with_name(f"part-of-{path.name}")
            remove(part)
            make(part)
            part.rename(path)
            for old in CACHE.glob(f"{what}-*"):
                if old != path:
                    remove(old)
    return path


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Hold the machine's lock of this name, waiting for whoever has it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

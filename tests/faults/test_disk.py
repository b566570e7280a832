"""PostgreSQL's disk is full for a while."""

import ctypes
import io
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.faults.local import Local
from tests.faults.report import Report
from tests.faults.target import Target
from tests.faults.test_database import assert_only_unavailable
from tests.local.backend import Engine

# What a new database takes, and some room.
DISK_BYTES = 160 * 2**20

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000


def mount_small_disk(folder: Path) -> None:
    """Put this process, and what it starts, on a disk of its own that nobody else sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={DISK_BYTES},mode=711".encode()
    at = os.fsencode(folder)
    for done in (
        libc.unshare(CLONE_NEWNS),
        libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None),
        libc.mount(b"none", at, b"tmpfs", 0, options),
    ):
        if done:
            raise OSError(ctypes.get_errno(), "no disk of our own")


@pytest.fixture
def small(request: pytest.FixtureRequest) -> Iterator[Target]:
    """An engine whose data lies on a small disk."""
    if request.config.getoption("--platform") == "cluster":
        pytest.skip("the test cluster's database lies on this machine's own disk")
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a disk of one's own needs Linux and root")
    folder = Path(tempfile.mkdtemp(prefix="mc-"))
    folder.chmod(0o755)
    (folder / "data").mkdir()
    started = Engine(folder / "data")
    try:
        started.start(preexec_fn=lambda: mount_small_disk(folder / "data"))
        assert started.process is not None
        # The disk as we see it from outside.
        started.data = Path(f"/proc/{started.process.pid}/root{started.data}")
        with closing(Target(Local(started))) as target:
            yield target
    finally:
        if not started.gone():
            started.stop()
        shutil.rmtree(folder)


def fill(file: io.RawIOBase) -> None:
    while file.write(bytes(2**16)):
        pass


@contextmanager
def disk_full(target: Target) -> Iterator[None]:
    """Nothing more fits on the database's disk."""
    assert isinstance(target.backend, Local)
    filler = target.backend.folder.parent / "filler"
    try:
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            fill(file)
        yield
    finally:
        filler.unlink()


def test_what_was_promised_outlives_a_full_disk(small: Target, report: Report) -> None:
    def much() -> dict[str, str]:
        # It cannot be compressed, so that it needs room.
        return {"N": secrets.token_hex(15 * 1024)}

    for number in range(3):
        assert small.journal.create(f"before-{number}", small.backend.image).is_done
    small.agrees()
    with disk_full(small):
        told = [
            small.journal.create(f"meanwhile-{n}", small.backend.image, env_vars=much())
            for n in range(12)
        ]
        told += [small.journal.patch(f"before-{n}", env_vars=much()) for n in range(3)]
    assert any(each.status == 503 for each in told), told
    assert_only_unavailable(told)
    small.sweep()
    report("disk full for PostgreSQL", small.agrees())
    # It takes writes again.
    assert small.journal.create("after", small.backend.image, env_vars=much()).is_done
    small.agrees()

"""The files of an archive or a folder, looked up by name; nothing is ever unpacked.

Whoever made the archive may have put anything into it: a name is only a key here, never a path,
and nothing is read into memory that has no bound.
"""

import posixpath
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import IO, Any, Protocol, cast

from maxcloud.errors import MaxCloudError

BLOCK = 256 * 1024

# An image has some hundred files at the most: its layers, not what they hold.
_MEMBERS_MAX = 10_000
_LINKS_MAX = 8
# One header of a tar, with what extends it (a long name, PAX records).
_HEADER_MAX = 1024 * 1024

# What tarfile raises where a header is not what it should be.
_BROKEN = (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError, LookupError)


class ArchiveInvalid(MaxCloudError):
    """The image's file or folder is not what it should be; the message says what is wrong."""


@dataclass(frozen=True)
class Content:
    """Bytes that stand in a file."""

    path: Path
    start: int
    size: int

    def blocks(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `begin` to before `end`; ArchiveInvalid when the file is shorter."""
        left = (self.size if end is None else end) - begin
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.start + begin)
                while left:
                    block = file.read(min(left, BLOCK))
                    if not block:
                        raise ArchiveInvalid(f"{self.path} ends too early")
                    left -= len(block)
                    yield block
        except OSError as error:
            raise ArchiveInvalid(f"cannot read {self.path}: {error.strerror}") from error

    def whole(self, limit: int) -> bytes:
        """Return all of it; ArchiveInvalid when that is more than `limit` bytes."""
        if self.size > limit:
            raise ArchiveInvalid(f"{self.path} has a description of {self.size} bytes")
        return b"".join(self.blocks())


class Files(Protocol):
    """What an image is read from."""

    path: Path

    def find(self, name: str) -> Content | None:
        """Return the content of a regular file; None where there is none of this name."""


class Folder:
    """The files of a folder; a link in it is followed, as some build tools make layouts of them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, name: str) -> Content | None:
        """Return a file's content."""
        file = self.path / name
        try:
            found = file.stat()
        except (OSError, ValueError):
            return None
        return Content(file, 0, found.st_size) if stat.S_ISREG(found.st_mode) else None


class Tar:
    """The files of a tar; a link in it leads to another file of it or nowhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            with path.open("rb") as file:
                self._size = path.stat().st_size
                self._list(file)
        except OSError as error:
            raise ArchiveInvalid(f"cannot read {path}: {error.strerror}") from error
        except _BROKEN as error:
            raise ArchiveInvalid(f"{path} is not a whole tar: {error}") from error

    def find(self, name: str) -> Content | None:
        """Return a file's content."""
        member = self._members.get(posixpath.normpath(name))
        for _ in range(_LINKS_MAX):
            if member is None or not (member.issym() or member.islnk()):
                break
            base = posixpath.dirname(member.name) if member.issym() else ""
            target = posixpath.normpath(posixpath.join(base, member.linkname))
            member = self._members.get(target)
        if member is None or not member.isreg():
            return None
        return Content(self.path, member.offset_data, member.size)

    def _list(self, file: IO[bytes]) -> None:
        headers = cast("IO[bytes]", _HeadersAlone(file))
        with tarfile.open(fileobj=headers, mode="r:") as tar:
            for number, member in enumerate(tar):
                if number >= _MEMBERS_MAX:
                    raise ArchiveInvalid(f"{self.path} has more files than an image's archive")
                wrong = member.size < 0 or member.offset_data + member.size > self._size
                if member.isreg() and (wrong or member.issparse()):
                    raise ArchiveInvalid(f"{self.path} ends too early, in {member.name[:100]!r}")
                self._members[posixpath.normpath(member.name)] = member


class _HeadersAlone(RawIOBase):
    """A file of which tarfile reads no more at once than a header may have."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER_MAX:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)

    def seek(self, *where: Any) -> int:
        return self._file.seek(*where)

    def tell(self) -> int:
        return self._file.tell()

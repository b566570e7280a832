"""Layers packed for the way: gzip, the same bytes each time.

`docker save` has layers as plain tars. ISA-L packs them in a fifth of zlib's time to the size of
zlib's lowest level, and gzip is what every client of a registry unpacks.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from isal import isal_zlib

from maxcloud.errors import MaxCloudError
from maxcloud.pushing.contents import ArchiveInvalid, Content

# docs/decisions.md has the figures.
LEVEL = 2
_GZIP_WINDOW = 31  # zlib's number for a gzip header; ISA-L writes no time into it


class NoRoom(MaxCloudError):
    """The packed layer cannot be written."""


def packed(
    content: Content, digest: str, target: Path, told: Callable[[int], None]
) -> tuple[Content, str]:
    """Write the content to `target` as gzip; return that and its digest.

    `digest` is the content's own, and ArchiveInvalid when it is not; NoRoom when the target's
    folder is full. `told` is called with the number of bytes that were read.
    """
    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, _GZIP_WINDOW)
    plain, outcome = hashlib.sha256(), hashlib.sha256()
    done = size = 0
    try:
        with target.open("wb") as file:
            for block in content.blocks():
                plain.update(block)
                piece = packer.compress(block)
                outcome.update(piece)
                size += file.write(piece)
                done += len(block)
                told(done)
            piece = packer.flush()
            outcome.update(piece)
            size += file.write(piece)
    except OSError as error:
        said = f"a layer cannot be packed in {target.parent.parent}: {error.strerror}"
        raise NoRoom(said) from error
    if f"sha256:{plain.hexdigest()}" != digest:
        raise ArchiveInvalid(f"the layer {digest} in {content.path} is damaged")
    return Content(target, 0, size), f"sha256:{outcome.hexdigest()}"


def digest_of_content(content: Content) -> str:
    """Return the digest of the content as it is."""
    found = hashlib.sha256()
    for block in content.blocks():
        found.update(block)
    return f"sha256:{found.hexdigest()}"

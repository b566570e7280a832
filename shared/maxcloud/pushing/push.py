"""Pushing one image: what the registry lacks of it, several layers at a time, its name last."""

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from maxcloud.errors import MaxCloudError
from maxcloud.pushing.contents import ArchiveInvalid, Content
from maxcloud.pushing.packing import digest_of_content, packed
from maxcloud.pushing.registry import Registry
from maxcloud.pushing.sources import Image, Layer, Stored, digest_of, oci_type, parsed

# More would not fill a line better, and each holds a connection and a compressor.
WORKERS = 4
# Of how many other images the layers are looked for.
NEIGHBOURS_MAX = 5


class What(StrEnum):
    """What happens to a layer; the last three end it."""

    PACKING = "packing"
    SENDING = "sending"
    PUSHED = "pushed"
    MOUNTED = "mounted"
    THERE = "already there"


@dataclass(frozen=True)
class Happening:
    """How far a layer is: `done` of `size` bytes are packed or sent."""

    layer: str
    what: What
    done: int
    size: int

    @property
    def ends(self) -> bool:
        """Whether the layer stands in the registry now."""
        return self.what not in {What.PACKING, What.SENDING}


@dataclass(frozen=True)
class Neighbour:
    """An image of the registry whose layers may be this image's too."""

    repository: str
    digest: str


@dataclass(frozen=True)
class Pushed:
    """What came of it; `unchanged` when the tag had this image before."""

    digest: str
    unchanged: bool


class _Stopped(MaxCloudError):
    """Another layer failed, so this one need not be sent."""


def pull_scope(repository: str) -> str:
    """Return the scope that reading a repository needs."""
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> str:
    """Return the scope that writing a repository needs."""
    return f"repository:{repository}:pull,push"


def existing(registry: Registry, repository: str, tag: str, config_digest: str) -> str | None:
    """Return the digest of the tag's image when it has this config, thus is the same image."""
    found = registry.manifest(repository, tag)
    if found is None:
        return None
    config = _config_digest(found[0])
    return digest_of(found[0]) if config == config_digest else None


def push(
    image: Image,
    registry: Registry,
    repository: str,
    tag: str,
    *,
    tell: Callable[[Happening], None],
    neighbours: Callable[[], Sequence[Neighbour]] = tuple,
) -> Pushed:
    """Put the image into the repository under the tag and return its digest.

    Nothing is listed before all of it is there. `tell` is called by several threads.
    `neighbours` is asked only when layers are lacking. ArchiveInvalid, RegistryRefused or
    RegistryUnreachable say why it did not work; pushing again goes on with what is there.
    """
    before = registry.manifest(repository, tag)
    if before and _is(image, before[0]):
        for layer in image.layers:
            tell(Happening(layer.digest, What.THERE, layer.content.size, layer.content.size))
        return Pushed(digest_of(before[0]), unchanged=True)
    work = _Push(image, registry, repository, tell)
    if before:
        work.know(repository, before[0])
    layers = work.stored(neighbours)
    manifest = image.manifest_of(layers)
    registry.put_manifest(repository, tag, manifest, image.media_type)
    return Pushed(digest_of(manifest), unchanged=False)


def _is(image: Image, manifest: bytes) -> bool:
    if image.manifest is not None:
        return manifest == image.manifest
    return _config_digest(manifest) == image.config_stored.digest


def _config_digest(manifest: bytes) -> str | None:
    try:
        return str(parsed(manifest, "the manifest")["config"]["digest"])
    except (ArchiveInvalid, KeyError, TypeError):
        return None


class _Push:
    """What is known of the layers while they are pushed."""

    def __init__(
        self,
        image: Image,
        registry: Registry,
        repository: str,
        tell: Callable[[Happening], None],
    ) -> None:
        self._image, self._registry, self._repository = image, registry, repository
        self._tell = tell
        self._known: dict[str, tuple[Stored, str]] = {}
        self._stop = threading.Event()

    def know(self, repository: str, manifest: bytes) -> None:
        """Remember the layers of an image of the registry, by digest and by unpacked digest."""
        for digest, stored in _layers_of(self._registry, repository, manifest).items():
            self._known.setdefault(digest, (stored, repository))

    def stored(self, neighbours: Callable[[], Sequence[Neighbour]]) -> list[Stored]:
        """Return how each layer stands in the registry, once all of them and the config do."""
        distinct = list({layer.digest: layer for layer in self._image.layers}.values())
        with tempfile.TemporaryDirectory(prefix="maxcloud-push-") as scratch, self._pool() as pool:
            there = dict(pool.map(self._already, distinct))
            lacking = [layer for layer in distinct if there[layer.digest] is None]
            if lacking:
                self._look_around(lacking, neighbours)
            brought = {
                layer.digest: pool.submit(self._brought, layer, Path(scratch)) for layer in lacking
            }
            config = pool.submit(self._send_config, Path(scratch))
            _none_failed([*brought.values(), config])
            there |= {digest: future.result() for digest, future in brought.items()}
        return [stored for layer in self._image.layers if (stored := there[layer.digest])]

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor(WORKERS) as pool:
            try:
                yield pool
            except BaseException:
                # What has begun ends at its next block or pause.
                self._stop.set()
                self._registry.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _already(self, layer: Layer) -> tuple[str, Stored | None]:
        known, where = self._known.get(layer.digest, (None, None))
        if where != self._repository:
            known = layer.stored
            if known is None or not self._registry.has(self._repository, known.digest):
                return layer.digest, None
        self._say(layer.digest, What.THERE, layer.content.size, layer.content.size)
        return layer.digest, known

    def _look_around(
        self, lacking: Sequence[Layer], neighbours: Callable[[], Sequence[Neighbour]]
    ) -> None:
        near = list(neighbours())[:NEIGHBOURS_MAX]
        if others := [each for each in near if each.repository != self._repository]:
            self._registry.widen(*(pull_scope(each.repository) for each in others))
        for each in near:
            if all(layer.digest in self._known for layer in lacking):
                return
            if found := self._registry.manifest(each.repository, each.digest):
                self.know(each.repository, found[0])

    def _brought(self, layer: Layer, scratch: Path) -> Stored:
        """Return how the layer stands in the registry, after it was brought there."""
        size = layer.content.size
        if layer.digest in self._known:
            stored, where = self._known[layer.digest]
            if where == self._repository:
                self._say(layer.digest, What.THERE, size, size)
                return stored
            if self._registry.mount(self._repository, stored.digest, where):
                self._say(layer.digest, What.MOUNTED, size, size)
                return stored
        content, stored = self._prepared(layer, scratch)
        if layer.stored is None and self._registry.has(self._repository, stored.digest):
            self._say(layer.digest, What.THERE, size, size)
        else:
            told = self._telling(layer.digest, What.SENDING, content.size)
            self._registry.upload(self._repository, stored.digest, content, told)
            self._say(layer.digest, What.PUSHED, content.size, content.size)
        if layer.plain:
            content.path.unlink()
        return stored

    def _prepared(self, layer: Layer, scratch: Path) -> tuple[Content, Stored]:
        if layer.stored is not None:
            return layer.content, layer.stored
        if not layer.plain:
            digest = digest_of_content(layer.content)
            return layer.content, Stored(digest, layer.content.size, layer.media_type)
        told = self._telling(layer.digest, What.PACKING, layer.content.size)
        target = scratch / layer.digest.removeprefix("sha256:")
        content, digest = packed(layer.content, layer.digest, target, told)
        return content, Stored(digest, content.size, layer.media_type)

    def _send_config(self, scratch: Path) -> None:
        config = self._image.config_stored
        if self._registry.has(self._repository, config.digest):
            return
        file = scratch / "config"
        file.write_bytes(self._image.config)
        content = Content(file, 0, config.size)
        self._registry.upload(self._repository, config.digest, content, lambda _: None)

    def _telling(self, layer: str, what: What, size: int) -> Callable[[int], None]:
        def told(done: int) -> None:
            if self._stop.is_set():
                raise _Stopped("the push has ended")
            self._say(layer, what, done, size)

        return told

    def _say(self, layer: str, what: What, done: int, size: int) -> None:
        self._tell(Happening(layer, what, done, size))


def _none_failed(futures: Sequence["Future[Any]"]) -> None:
    """Wait for all of them, or raise what the first one raises that fails."""
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        future.result()


def _layers_of(registry: Registry, repository: str, manifest: bytes) -> Mapping[str, Stored]:
    """Return the layers of an image of the registry by both their digests.

    What cannot be read is left out: then those layers are sent as if they were new.
    """
    try:
        document: dict[str, Any] = parsed(manifest, "the manifest")
        layers = [
            Stored(each["digest"], each["size"], oci_type(each["mediaType"]))
            for each in document["layers"]
        ]
        config = registry.small_blob(repository, document["config"]["digest"])
        diff_ids = parsed(config or b"", "the config")["rootfs"]["diff_ids"]
        unpacked = dict(zip(diff_ids, layers, strict=True))
    except (ArchiveInvalid, KeyError, TypeError, ValueError):
        return {}
    return unpacked | {layer.digest: layer for layer in layers}

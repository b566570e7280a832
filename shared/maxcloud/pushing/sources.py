"""An image as it lies on this machine: what `docker save` wrote, or an OCI layout.

Both are read into an `Image`. Of an OCI layout the manifest is taken as it is, so that it keeps the
digest that the build named; a `docker save` has none that a registry takes, and gets one of its own
(`Image.manifest_of`).
"""

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maxcloud.pushing.contents import ArchiveInvalid, Content, Files, Folder, Tar

# What the platform's nodes run.
OS, ARCHITECTURE = "linux", "amd64"

# A manifest has at most 4 MiB (distribution specification); a config is far smaller.
JSON_MAX = 4 * 1024 * 1024
# The kernel's overlay takes 128; nothing that is built has more.
LAYERS_MAX = 512
_DEPTH_MAX = 3  # of indexes in indexes

_OCI, _DOCKER = "application/vnd.oci.image.", "application/vnd.docker."
_INDEXES = {f"{_OCI}index.v1+json", f"{_DOCKER}distribution.manifest.list.v2+json"}
_MANIFESTS = {f"{_OCI}manifest.v1+json", f"{_DOCKER}distribution.manifest.v2+json"}
_CONFIGS = {f"{_OCI}config.v1+json", f"{_DOCKER}container.image.v1+json"}
_LAYER = re.compile(
    r"application/vnd\.(oci\.image\.layer\.v1\.tar(\+gzip|\+zstd)?"
    r"|docker\.image\.rootfs\.diff\.tar(\.gzip|\.zstd)?)"
)
GZIP = f"{_OCI}layer.v1.tar+gzip"
_BY_MAGIC = {b"\x1f\x8b": GZIP, b"\x28\xb5\x2f\xfd": f"{_OCI}layer.v1.tar+zstd"}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

Json = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """A blob as the registry has it."""

    digest: str
    size: int
    media_type: str

    @property
    def descriptor(self) -> Json:
        """Return what a manifest says of it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Layer:
    """One layer. `digest` is that of the content or, where it is `plain`, of the unpacked tar.

    `stored` is how the layer stands in the registry; None where packing it decides that.
    """

    digest: str
    content: Content
    stored: Stored | None = None
    media_type: str = GZIP
    plain: bool = False


@dataclass(frozen=True)
class Image:
    """What is to be pushed; `manifest` is None where one is made of how the layers are stored."""

    config: bytes
    layers: tuple[Layer, ...]
    platform: str
    manifest: bytes | None = None
    media_type: str = f"{_OCI}manifest.v1+json"
    config_type: str = f"{_OCI}config.v1+json"

    @property
    def config_stored(self) -> Stored:
        """Return the config as a blob."""
        return Stored(digest_of(self.config), len(self.config), self.config_type)

    def manifest_of(self, layers: Sequence[Stored]) -> bytes:
        """Return the manifest, given how the layers are stored; the same for the same layers."""
        if self.manifest is not None:
            return self.manifest
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": self.media_type,
                "config": self.config_stored.descriptor,
                "layers": [layer.descriptor for layer in layers],
            },
            separators=(",", ":"),
        ).encode()


def read(path: Path, names: Collection[str] = ()) -> Image:
    """Return the image that lies there; ArchiveInvalid says what is wrong with it.

    Of several images it is the one that has one of the `names`, such as `shop:v1` or `v1`. Of an
    image for several platforms it is the one that the nodes run: nobody pulls the others from
    here, and a layout often lacks them.
    """
    files = Folder(path) if path.is_dir() else Tar(_whole(path))
    try:
        # Docker writes both forms into one tar, and calls its uncompressed layers final in OCI's.
        if files.find("manifest.json"):
            return _docker_archive(files, names)
        if files.find("index.json"):
            return _oci_layout(files, names)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        said = f"{path} is not an image as `docker save` or OCI describe it ({error})"
        raise ArchiveInvalid(said) from error
    kind = "an OCI layout" if path.is_dir() else "an image's archive"
    raise ArchiveInvalid(f"{path} is not {kind}: it has no index.json and no manifest.json")


def digest_of(content: bytes) -> str:
    """Return the digest of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def oci_type(media_type: str) -> str:
    """Return what OCI calls a layer's media type, which may be Docker's; KeyError for another."""
    if not (found := _LAYER.fullmatch(media_type)):
        raise KeyError(media_type)
    packing = (found[2] or found[3] or "").lstrip("+.")
    return f"{_OCI}layer.v1.tar" + (f"+{packing}" if packing else "")


def parsed(content: bytes, what: str) -> Any:
    """Return the value of a JSON text; ArchiveInvalid when it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArchiveInvalid(f"{what} is not JSON") from error


def _whole(path: Path) -> Path:
    if not path.is_file():
        raise ArchiveInvalid(f"{path} is neither a file nor a folder")
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise ArchiveInvalid(f"cannot read {path}: {error.strerror}") from error
    if start[:2] == b"\x1f\x8b" or start[:4] == b"\x28\xb5\x2f\xfd" or start == b"\xfd7zXZ\x00":
        raise ArchiveInvalid(f"{path} is compressed as a whole; unpack it to a tar first")
    return path


def _docker_archive(files: Files, names: Collection[str]) -> Image:
    entries = parsed(_bytes(files, "manifest.json"), f"manifest.json of {files.path}")
    named = [(entry, entry.get("RepoTags") or []) for entry in entries]
    entry = _one(files, named, names)
    config = _bytes(files, entry["Config"])
    said = parsed(config, f"the config of {files.path}")
    diff_ids, paths = said["rootfs"]["diff_ids"], entry["Layers"]
    if len(paths) != len(diff_ids) or len(paths) > LAYERS_MAX:
        raise ArchiveInvalid(f"{files.path} has {len(paths)} layers, its config {len(diff_ids)}")
    layers = tuple(
        _docker_layer(_content(files, path), _checked(files, diff_id))
        for path, diff_id in zip(paths, diff_ids, strict=True)
    )
    return Image(config, layers, _platform(said))


def _docker_layer(content: Content, diff_id: str) -> Layer:
    start = next(content.blocks(0, min(4, content.size)), b"")
    packed = next((kind for magic, kind in _BY_MAGIC.items() if start.startswith(magic)), None)
    return Layer(diff_id, content, media_type=packed or GZIP, plain=packed is None)


def _oci_layout(files: Files, names: Collection[str]) -> Image:
    index = parsed(_bytes(files, "index.json"), f"index.json of {files.path}")
    for _ in range(_DEPTH_MAX):
        descriptor = _chosen(files, index, names)
        kind, content = descriptor.get("mediaType"), _blob(files, descriptor).whole(JSON_MAX)
        if digest_of(content) != descriptor["digest"]:
            raise ArchiveInvalid(f"{descriptor['digest']} in {files.path} is damaged")
        document = parsed(content, f"{descriptor['digest']} in {files.path}")
        if kind in _MANIFESTS:
            return _oci_image(files, content, document, str(kind))
        if kind not in _INDEXES:
            raise ArchiveInvalid(f"{files.path} holds {kind!r}, which is not an image")
        index = document
    raise ArchiveInvalid(f"{files.path} has indexes in indexes without an end")


def _oci_image(files: Files, content: bytes, manifest: Json, kind: str) -> Image:
    config_type = manifest["config"]["mediaType"]
    if config_type not in _CONFIGS:
        raise ArchiveInvalid(f"{files.path} holds {config_type!r}, which is not a container image")
    config = _blob(files, manifest["config"]).whole(JSON_MAX)
    if digest_of(config) != manifest["config"]["digest"]:
        raise ArchiveInvalid(f"the config in {files.path} is damaged")
    said = parsed(config, f"the config in {files.path}")
    if len(manifest["layers"]) > LAYERS_MAX:
        raise ArchiveInvalid(f"{files.path} has {len(manifest['layers'])} layers")
    layers = tuple(_oci_layer(files, each) for each in manifest["layers"])
    return Image(config, layers, _platform(said), content, kind, config_type)


def _oci_layer(files: Files, said: Json) -> Layer:
    kind = said["mediaType"]
    if not _LAYER.fullmatch(kind):
        raise ArchiveInvalid(f"{files.path} has a layer of the unknown type {kind!r}")
    content = _blob(files, said)
    return Layer(said["digest"], content, Stored(said["digest"], content.size, kind), kind)


def _chosen(files: Files, index: Json, names: Collection[str]) -> Json:
    """Return the descriptor of the image, or of a further index, that an index leads to."""
    # A builder's attestations stand beside the images, for a platform named unknown.
    described = [each for each in index["manifests"] if _runs_here(each.get("platform"))]
    if not described:
        raise ArchiveInvalid(f"{files.path} has no image for {OS}/{ARCHITECTURE}")
    ours = [each for each in described if each.get("platform")] or described
    key = "org.opencontainers.image.ref.name"
    annotations = [each.get("annotations") or {} for each in ours]
    named = [
        (each, [said[key]] if key in said else [])
        for each, said in zip(ours, annotations, strict=True)
    ]
    return _one(files, named, names)


def _runs_here(platform: Json | None) -> bool:
    return not platform or (platform.get("os"), platform.get("architecture")) == (OS, ARCHITECTURE)


def _one(files: Files, named: Sequence[tuple[Json, Sequence[str]]], names: Collection[str]) -> Json:
    """Return the one of several that is meant: the only one, or the one that has the name."""
    if len(named) == 1:
        return named[0][0]
    if not named:
        raise ArchiveInvalid(f"{files.path} holds no image")
    found = [each for each, own in named if any(name.split("/")[-1] in names for name in own)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(sorted({name for _, own in named for name in own})) or "without names"
    raise ArchiveInvalid(f"{files.path} holds {len(named)} images ({known}); save one of them")


def _blob(files: Files, said: Json) -> Content:
    content = _content(files, f"blobs/sha256/{_checked(files, said['digest'])[7:]}")
    if content.size != said["size"]:
        wrong = f"{said['digest']} in {files.path} has {content.size} bytes, not {said['size']}"
        raise ArchiveInvalid(wrong)
    return content


def _checked(files: Files, digest: Any) -> str:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ArchiveInvalid(f"{files.path} names something by {digest!r}, which is no digest")
    return digest


def _content(files: Files, name: Any) -> Content:
    if not isinstance(name, str):
        raise ArchiveInvalid(f"{files.path} names a file by {name!r}"[:200])
    if found := files.find(name):
        return found
    raise ArchiveInvalid(f"{files.path} is not whole: {name[:100]} is missing")


def _bytes(files: Files, name: str) -> bytes:
    return _content(files, name).whole(JSON_MAX)


def _platform(config: Json) -> str:
    return f"{config.get('os', OS)}/{config.get('architecture', ARCHITECTURE)}"

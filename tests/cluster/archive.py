"""Container images written as plain archives: a list of layers and who runs what."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """An image to be written: its name, its layers (tar files), its user and command."""

    name: str
    layers: tuple[Path, ...]
    command: tuple[str, ...] = ()
    user: str = ""


def program_layer(binary: Path, inside: str, layer: Path) -> None:
    """Write a layer that holds one executable, at the absolute path `inside`."""
    with tarfile.open(layer, "w") as tar:
        entry = tar.gettarinfo(str(binary), inside.lstrip("/"))
        entry.mode, entry.uid, entry.gid, entry.mtime = 0o755, 0, 0, 0
        entry.uname = entry.gname = "root"
        with binary.open("rb") as content:
            tar.addfile(entry, content)


def write_images(images: list[Image], archive: Path) -> None:
    """Write images into one archive that containerd, buildah and skopeo can read.

    A layer that several images share is written once.
    """
    manifest = []
    written: dict[Path, str] = {}
    with tarfile.open(archive, "w") as tar:
        for image in images:
            for layer in image.layers:
                if layer not in written:
                    written[layer] = digest = _sha256(layer)
                    tar.add(layer, f"{digest}.tar")
            digests = [written[layer] for layer in image.layers]
            config = json.dumps(_config(image, digests)).encode()
            config_name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add(tar, config_name, config)
            manifest.append(
                {
                    "Config": config_name,
                    "RepoTags": [image.name],
                    "Layers": [f"{digest}.tar" for digest in digests],
                }
            )
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _config(image: Image, digests: list[str]) -> dict[str, object]:
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"User": image.user, "Entrypoint": list(image.command) or None, "Env": [path]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created_by": "tests/cluster"} for _ in digests],
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))

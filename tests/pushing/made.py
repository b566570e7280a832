"""Images made here, in the three forms that are pushed, whole and broken."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image"
AMD64 = {"os": "linux", "architecture": "amd64"}


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def layer(name: str, size: int = 1000) -> bytes:
    """A layer's plain tar of one file; half of it packs well. The same for the same name."""
    noise = random.Random(name).randbytes(size // 2)  # noqa: S311
    content = noise + bytes(size - len(noise))
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        add(tar, name, content)
    return whole.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def config(layers: Sequence[bytes], **changes: Any) -> bytes:
    document = AMD64 | {
        "config": {"Cmd": ["/serve"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(each) for each in layers]},
    }
    return json.dumps(document | changes).encode()


def docker_files(layers: Sequence[bytes], tags: Sequence[str] = ("shop:v1",)) -> dict[str, bytes]:
    """The files of a `docker save`."""
    described = config(layers)
    names = [f"{digest(each)[7:]}.tar" for each in layers]
    name = f"{digest(described)[7:]}.json"
    entry = {"Config": name, "RepoTags": tags, "Layers": names}
    return {
        **dict(zip(names, layers, strict=True)),
        name: described,
        "manifest.json": json.dumps([entry]).encode(),
    }


def tar(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as made:
        for name, content in files.items():
            add(made, name, content)
    return path


def docker_archive(path: Path, *layers: bytes) -> Path:
    return tar(path, docker_files(layers))


def descriptor(content: bytes, kind: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(content), "size": len(content), **more}


def oci_files(layers: Sequence[bytes], /, **changes: Any) -> dict[str, bytes]:
    """The files of an OCI layout whose layers are gzip; `changes` are the manifest's."""
    described = config(layers)
    packed = [gzip.compress(each, 1, mtime=0) for each in layers]
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": descriptor(described, f"{OCI}.config.v1+json"),
            "layers": [descriptor(each, f"{OCI}.layer.v1.tar+gzip") for each in packed],
        }
        | changes
    ).encode()
    return layout([descriptor(manifest, f"{OCI}.manifest.v1+json")], manifest, described, *packed)


def layout(manifests: Sequence[Mapping[str, Any]], *blobs: bytes) -> dict[str, bytes]:
    return {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": manifests}).encode(),
        **{f"blobs/sha256/{digest(each)[7:]}": each for each in blobs},
    }


def folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return path


def oci_layout(path: Path, *layers: bytes) -> Path:
    return folder(path, oci_files(layers))

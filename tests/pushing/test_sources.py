"""Images that are read from files and folders, and what is said of those that are broken."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maxcloud.pushing.contents import ArchiveInvalid
from maxcloud.pushing.sources import read
from tests.pushing import made

LAYERS = (made.layer("a"), made.layer("b", 5000))


def test_a_docker_archive(tmp_path: Path) -> None:
    image = read(made.docker_archive(tmp_path / "shop.tar", *LAYERS))
    assert [layer.digest for layer in image.layers] == [made.digest(each) for each in LAYERS]
    assert [b"".join(layer.content.blocks()) for layer in image.layers] == list(LAYERS)
    assert image.config == made.config(LAYERS)
    assert image.platform == "linux/amd64"


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_an_oci_layout(tmp_path: Path, form: str) -> None:
    files = made.oci_files(LAYERS)
    write = made.folder if form == "folder" else made.tar
    image = read(write(tmp_path / "layout", files))
    [descriptor] = json.loads(files["index.json"])["manifests"]
    assert image.manifest is not None
    assert made.digest(image.manifest) == descriptor["digest"]
    assert [layer.stored.digest for layer in image.layers if layer.stored] == [
        each["digest"] for each in json.loads(image.manifest)["layers"]
    ]


def test_a_layer_behind_a_link_as_docker_writes_equal_ones(tmp_path: Path) -> None:
    files = made.docker_files([LAYERS[0]])
    [name] = [name for name in files if name.endswith(".tar")]
    content = files.pop(name)
    with tarfile.open(tmp_path / "shop.tar", "w") as tar:
        made.add(tar, "first/layer.tar", content)
        link = tarfile.TarInfo("second/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../first/layer.tar"
        tar.addfile(link)
        files["manifest.json"] = files["manifest.json"].replace(name.encode(), link.name.encode())
        for each, body in files.items():
            made.add(tar, each, body)
    [layer] = read(tmp_path / "shop.tar").layers
    assert b"".join(layer.content.blocks()) == content


def test_of_several_platforms_the_nodes_own(tmp_path: Path) -> None:
    """As buildx writes it: an index in the index, attestations beside, the others not there."""
    files = made.oci_files(LAYERS)
    [ours] = json.loads(files["index.json"])["manifests"]
    index = json.dumps(
        {
            "manifests": [
                {**ours, "digest": made.digest(b"other"), "platform": made.AMD64 | {"os": "plan9"}},
                {**ours, "platform": made.AMD64},
                {
                    **ours,
                    "digest": made.digest(b"attestation"),
                    "platform": {"os": "unknown", "architecture": "unknown"},
                },
            ]
        }
    ).encode()
    outer = [made.descriptor(index, f"{made.OCI}.index.v1+json")]
    image = read(made.folder(tmp_path, files | made.layout(outer, index)))
    assert image.manifest is not None
    assert made.digest(image.manifest) == ours["digest"]


@pytest.mark.parametrize("names", [{"shop:v2", "v2"}, {"other:v2", "v2"}])
def test_of_several_images_the_one_that_is_named(tmp_path: Path, names: set[str]) -> None:
    one, two = made.docker_files(LAYERS[:1]), made.docker_files(LAYERS[1:], ["localhost/shop:v2"])
    entries = json.loads(one["manifest.json"]) + json.loads(two["manifest.json"])
    files = one | two | {"manifest.json": json.dumps(entries).encode()}
    path = made.tar(tmp_path / "both.tar", files)
    if "shop:v2" in names:
        assert read(path, names).config == made.config(LAYERS[1:])
        return
    with pytest.raises(ArchiveInvalid, match=r"holds 2 images \(localhost/shop:v2, shop:v1\)"):
        read(path, names)


def test_several_in_a_layout_are_told_apart_by_their_annotation(tmp_path: Path) -> None:
    key = "org.opencontainers.image.ref.name"
    files: dict[str, bytes] = {}
    manifests = []
    for tag, layer in zip(("v1", "v2"), LAYERS, strict=True):
        own = made.oci_files([layer])
        manifests += [json.loads(own["index.json"])["manifests"][0] | {"annotations": {key: tag}}]
        files |= own
    made.folder(tmp_path, files | {"index.json": json.dumps({"manifests": manifests}).encode()})
    assert read(tmp_path, {"v2"}).config == made.config(LAYERS[1:])


def changed(files: dict[str, bytes], name: str, change: Callable[[Any], None]) -> dict[str, bytes]:
    document = json.loads(files[name])
    change(document)
    return files | {name: json.dumps(document).encode()}


def without_config(entries: Any) -> None:
    del entries[0]["Config"]


def too_many_layers(entries: Any) -> None:
    entries[0]["Layers"].append("x.tar")


def up_and_away(entries: Any) -> None:
    entries[0]["Layers"][0] = "../../../etc/passwd"


def absolute(entries: Any) -> None:
    entries[0]["Config"] = "/etc/passwd"


def of_a_number(entries: Any) -> None:
    entries[0]["Layers"][0] = 7


DOCKER = made.docker_files(LAYERS)
BROKEN_ARCHIVES = {
    "no description": ({"x": b""}, "it has no index.json and no manifest.json"),
    "not JSON": (DOCKER | {"manifest.json": b"{"}, "manifest.json of .* is not JSON"),
    "deep": (DOCKER | {"manifest.json": b"[" * 100_000}, "is not JSON"),
    "of another shape": (DOCKER | {"manifest.json": b"7"}, "is not an image as"),
    "of no image": (DOCKER | {"manifest.json": b"[]"}, "holds no image"),
    "huge": (DOCKER | {"manifest.json": bytes(5_000_000)}, "description of 5000000 bytes"),
    "no config": (changed(DOCKER, "manifest.json", without_config), "is not an image as"),
    "counts": (changed(DOCKER, "manifest.json", too_many_layers), "has 3 layers, its config 2"),
    "up": (changed(DOCKER, "manifest.json", up_and_away), "etc/passwd is missing"),
    "absolute": (changed(DOCKER, "manifest.json", absolute), "/etc/passwd is missing"),
    "number": (changed(DOCKER, "manifest.json", of_a_number), "names a file by 7"),
}


@pytest.mark.parametrize("name", BROKEN_ARCHIVES)
def test_broken_archives(tmp_path: Path, name: str) -> None:
    files, said = BROKEN_ARCHIVES[name]
    with pytest.raises(ArchiveInvalid, match=said) as raised:
        read(made.tar(tmp_path / "shop.tar", files))
    assert "\n" not in str(raised.value)


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def pax_of(size: int) -> bytes:
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, size
    return member.tobuf(tarfile.GNU_FORMAT)


def negative() -> bytes:
    header = bytearray(tarfile.TarInfo("manifest.json").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def raw_link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> bytes:
    return link(name, target, kind).tobuf() + bytes(1024)


WHOLE = io.BytesIO()
with tarfile.open(fileobj=WHOLE, mode="w") as _tar:
    for _name, _content in DOCKER.items():
        made.add(_tar, _name, _content)

BROKEN_TARS = {
    "empty": (b"", "is not a whole tar"),
    "text": (b"hello\n" * 1000, "is not a whole tar"),
    "cut": (WHOLE.getvalue()[:5000], "ends too early|is not a whole tar|no manifest.json"),
    "compressed": (b"\x1f\x8b\x08" + bytes(100), "unpack it to a tar first"),
    "a header of 8 GB": (pax_of(8 * 2**30 - 1) + bytes(2048), "a header of"),
    "many long headers": (pax_of(512) * 4000 + bytes(2048), "is not a whole tar|no manifest"),
    "a file of 8 GB": (b"", ""),
    "a negative size": (negative() + bytes(2048), "ends too early|is not a whole tar"),
    "a link outside": (raw_link("manifest.json", "/etc/passwd"), "no manifest.json"),
    "a link upwards": (raw_link("manifest.json", "../../etc/passwd"), "no manifest.json"),
    "a link to itself": (raw_link("manifest.json", "manifest.json"), "no manifest.json"),
    "a hard link outside": (
        raw_link("manifest.json", "/etc/passwd", tarfile.LNKTYPE),
        "no manifest.json",
    ),
    "a device": (raw_link("manifest.json", "", tarfile.CHRTYPE), "no manifest.json"),
}
_huge = tarfile.TarInfo("manifest.json")
_huge.size = 2**33 - 1
BROKEN_TARS["a file of 8 GB"] = (_huge.tobuf() + bytes(2048), "ends too early")


@pytest.mark.parametrize("name", BROKEN_TARS)
def test_broken_tars(tmp_path: Path, name: str) -> None:
    content, said = BROKEN_TARS[name]
    path = tmp_path / "shop.tar"
    path.write_bytes(content)
    with pytest.raises(ArchiveInvalid, match=said) as raised:
        read(path)
    assert "\n" not in str(raised.value)


def test_more_files_than_any_image_has(tmp_path: Path) -> None:
    path = tmp_path / "shop.tar"
    path.write_bytes(tarfile.TarInfo("x").tobuf() * 10_001)
    with pytest.raises(ArchiveInvalid, match="more files than"):
        read(path)


OCI = made.oci_files(LAYERS)
_DESCRIPTOR = json.loads(OCI["index.json"])["manifests"][0]
_HEX = _DESCRIPTOR["digest"][7:]


def index_with(**changes: Any) -> dict[str, bytes]:
    return OCI | {"index.json": json.dumps({"manifests": [_DESCRIPTOR | changes]}).encode()}


def manifest_with(**changes: Any) -> dict[str, bytes]:
    return made.oci_files(LAYERS, **changes)


def wrapped(depth: int) -> dict[str, bytes]:
    blobs, inner = [], _DESCRIPTOR
    for _ in range(depth):
        blobs.append(json.dumps({"manifests": [inner]}).encode())
        inner = made.descriptor(blobs[-1], f"{made.OCI}.index.v1+json")
    return OCI | made.layout([inner], *blobs)


_LAYER = json.loads(OCI[f"blobs/sha256/{_HEX}"])["layers"][0]
BROKEN_LAYOUTS = {
    "no manifest": ({k: v for k, v in OCI.items() if _HEX not in k}, "is missing"),
    "another manifest": (OCI | {f"blobs/sha256/{_HEX}": b"x" * _DESCRIPTOR["size"]}, "damaged"),
    "of another size": (index_with(size=7), "has .* bytes, not 7"),
    "no digest": (index_with(digest="sha256:../../../etc/passwd"), "which is no digest"),
    "sha512": (index_with(digest="sha512:" + "0" * 128), "which is no digest"),
    "other platforms alone": (
        index_with(platform={"os": "linux", "architecture": "arm64"}),
        "no image for linux/amd64",
    ),
    "no image": (index_with(mediaType="text/html"), "holds 'text/html', which is not an image"),
    "a chart": (
        manifest_with(config=made.descriptor(b"{}", "application/vnd.cncf.helm.config.v1+json")),
        "not a container image",
    ),
    "a strange layer": (manifest_with(layers=[_LAYER | {"mediaType": "x/y"}]), "unknown type"),
    "a layer elsewhere": (
        manifest_with(layers=[_LAYER | {"digest": made.digest(b"elsewhere")}]),
        "is missing",
    ),
    "indexes in indexes": (wrapped(4), "without an end"),
    "an empty index": (OCI | {"index.json": b'{"manifests": []}'}, "no image for"),
    "an index of another shape": (OCI | {"index.json": b'{"manifests": 7}'}, "is not an image"),
}


@pytest.mark.parametrize("name", BROKEN_LAYOUTS)
def test_broken_layouts(tmp_path: Path, name: str) -> None:
    files, said = BROKEN_LAYOUTS[name]
    with pytest.raises(ArchiveInvalid, match=said) as raised:
        read(made.folder(tmp_path, files))
    assert "\n" not in str(raised.value)


def test_a_pipe_in_a_layout_is_not_waited_for(tmp_path: Path) -> None:
    made.folder(tmp_path, OCI)
    (tmp_path / "index.json").unlink()
    os.mkfifo(tmp_path / "index.json")
    with pytest.raises(ArchiveInvalid, match=r"it has no index\.json"):
        read(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ArchiveInvalid, match="is neither a file nor a folder"):
        read(tmp_path / "nowhere")

"""Whole pushes, beside skopeo's of the same."""

import gzip
import json
import shutil
import subprocess
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from maxcloud.pushing.contents import ArchiveInvalid
from maxcloud.pushing.packing import NoRoom, packed
from maxcloud.pushing.push import Happening, Neighbour, Pushed, push
from maxcloud.pushing.registry import Registry
from maxcloud.pushing.sources import Image, read
from tests.distribution import Distribution
from tests.pushing import made

LAYERS = tuple(made.layer(name, 200_000) for name in ("a", "b", "c"))


def no_token(_: tuple[str, ...]) -> str:
    return ""


def anew() -> str:
    return f"test/{uuid.uuid4().hex}"


def pushed(
    registry: Distribution, path: Path, repository: str, tag: str = "v1", *near: Neighbour
) -> tuple[Pushed, Counter[str]]:
    """Push; return what came of it, and how many layers ended how."""
    ends: Counter[str] = Counter()

    def tell(happening: Happening) -> None:
        ends.update([happening.what] if happening.ends else [])

    with Registry(registry.url, no_token) as target:
        done = push(read(path), target, repository, tag, tell=tell, neighbours=lambda: near)
    return done, ends


def manifest(registry: Distribution, repository: str, tag: str = "v1") -> dict[str, Any]:
    answer = registry.get(f"{repository}/manifests/{tag}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def blob(registry: Distribution, repository: str, digest: str) -> bytes:
    content = registry.get(f"{repository}/blobs/{digest}").content
    assert made.digest(content) == digest
    return content


def skopeo(*words: str) -> bytes:
    program = shutil.which("skopeo")
    if program is None:
        pytest.skip("skopeo is not on this machine")
    return subprocess.run([program, *words], capture_output=True, check=True).stdout


def test_a_docker_archive_as_skopeo_pushes_it(registry: Distribution, tmp_path: Path) -> None:
    path, ours, theirs = made.docker_archive(tmp_path / "shop.tar", *LAYERS), anew(), anew()
    done, ends = pushed(registry, path, ours)
    assert ends == {"pushed": 3}
    target = f"docker://{registry.host}/{theirs}:v1"
    skopeo("copy", "--quiet", "--dest-tls-verify=false", f"docker-archive:{path}", target)
    mine, peer = manifest(registry, ours), manifest(registry, theirs)
    assert mine["config"]["digest"] == peer["config"]["digest"]
    unpacked = [
        [gzip.decompress(blob(registry, name, each["digest"])) for each in found["layers"]]
        for name, found in ((ours, mine), (theirs, peer))
    ]
    assert unpacked[0] == unpacked[1] == list(LAYERS)
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/{ours}:v1")
    assert made.digest(raw) == done.digest
    said = json.loads(
        skopeo("inspect", "--tls-verify=false", f"docker://{registry.host}/{ours}@{done.digest}")
    )
    assert said["Digest"] == done.digest


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_a_layout_as_skopeo_pushes_it(registry: Distribution, tmp_path: Path, form: str) -> None:
    write = made.folder if form == "folder" else made.tar
    path, ours, theirs = write(tmp_path / "image", made.oci_files(LAYERS)), anew(), anew()
    done, _ = pushed(registry, path, ours)
    source = f"{'oci' if form == 'folder' else 'oci-archive'}:{path}"
    target = f"docker://{registry.host}/{theirs}:v1"
    skopeo("copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", source, target)
    contents = [registry.get(f"{name}/manifests/v1").content for name in (ours, theirs)]
    assert contents[0] == contents[1]
    assert made.digest(contents[0]) == done.digest
    for each in json.loads(contents[0])["layers"]:
        blob(registry, ours, each["digest"])


def test_what_is_there_is_not_sent_again(registry: Distribution, tmp_path: Path) -> None:
    repository = anew()
    path = made.docker_archive(tmp_path / "shop.tar", *LAYERS[:2])
    first, _ = pushed(registry, path, repository)
    again, ends = pushed(registry, path, repository)
    assert again == Pushed(first.digest, unchanged=True)
    assert ends == {"already there": 2}
    # The next build has the layers of the one before, and one more.
    build = made.docker_archive(tmp_path / "next.tar", *LAYERS)
    _, ends = pushed(registry, build, repository)
    assert ends == {"already there": 2, "pushed": 1}
    # Under another tag they are found by what packing them gives.
    other, ends = pushed(registry, build, repository, "v2")
    assert ends == {"already there": 3}
    assert not other.unchanged


def test_another_image_of_the_organisation_lends_its_layers(
    registry: Distribution, tmp_path: Path
) -> None:
    one, two, three = anew(), anew(), anew()
    first, _ = pushed(registry, made.docker_archive(tmp_path / "a.tar", *LAYERS[:2]), one)
    near = Neighbour(one, first.digest)
    path = made.docker_archive(tmp_path / "b.tar", *LAYERS)
    _, ends = pushed(registry, path, two, "v1", near)
    assert ends == {"mounted": 2, "pushed": 1}
    for each in manifest(registry, two)["layers"]:
        blob(registry, two, each["digest"])
    # One that is gone costs nothing but the question.
    away = Neighbour(anew(), first.digest)
    _, ends = pushed(registry, path, three, "v1", away)
    assert ends == {"pushed": 3}


def test_layers_that_docker_named_get_their_name_of_oci(
    registry: Distribution, tmp_path: Path
) -> None:
    repository = anew()
    target = f"docker://{registry.host}/{repository}:v1"
    first = made.docker_archive(tmp_path / "a.tar", *LAYERS[:2])
    skopeo("copy", "--quiet", "--dest-tls-verify=false", f"docker-archive:{first}", target)
    _, ends = pushed(registry, made.docker_archive(tmp_path / "b.tar", *LAYERS), repository)
    assert ends == {"already there": 2, "pushed": 1}
    kinds = {each["mediaType"] for each in manifest(registry, repository)["layers"]}
    assert kinds == {f"{made.OCI}.layer.v1.tar+gzip"}


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    content = read(made.docker_archive(tmp_path / "a.tar", LAYERS[0])).layers[0].content
    with pytest.raises(NoRoom, match="cannot be packed in /: No space left on device"):
        packed(content, made.digest(LAYERS[0]), Path("/dev/full"), lambda _: None)


def test_a_layer_twice_in_one_image(registry: Distribution, tmp_path: Path) -> None:
    repository = anew()
    path = made.docker_archive(tmp_path / "shop.tar", LAYERS[0], LAYERS[1], LAYERS[0])
    _, ends = pushed(registry, path, repository)
    assert ends == {"pushed": 2}
    digests = [each["digest"] for each in manifest(registry, repository)["layers"]]
    assert digests[0] == digests[2] != digests[1]


def test_an_image_without_layers(registry: Distribution, tmp_path: Path) -> None:
    repository = anew()
    pushed(registry, made.docker_archive(tmp_path / "shop.tar"), repository)
    assert manifest(registry, repository)["layers"] == []


def test_layers_that_are_packed_already_stay_as_they_are(
    registry: Distribution, tmp_path: Path
) -> None:
    repository = anew()
    files = made.docker_files(LAYERS[:1])
    [name] = [name for name in files if name.endswith(".tar")]
    files[name] = gzip.compress(files[name])
    pushed(registry, made.tar(tmp_path / "shop.tar", files), repository)
    [layer] = manifest(registry, repository)["layers"]
    assert layer["digest"] == made.digest(files[name])


def test_four_pushes_of_the_same_at_once(registry: Distribution, tmp_path: Path) -> None:
    repository = anew()
    path = made.docker_archive(tmp_path / "shop.tar", *LAYERS)
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(pushed, registry, path, repository, f"v{n % 2}") for n in range(4)]
        digests = {run.result()[0].digest for run in runs}
    assert len(digests) == 1
    for each in manifest(registry, repository)["layers"]:
        blob(registry, repository, each["digest"])


def test_a_layer_that_is_not_what_the_config_says(registry: Distribution, tmp_path: Path) -> None:
    repository = anew()
    files = made.docker_files(LAYERS)
    name = next(name for name in files if name.endswith(".tar"))
    files[name] = files[name][:-1] + b"x"
    with pytest.raises(ArchiveInvalid, match="is damaged"):
        pushed(registry, made.tar(tmp_path / "shop.tar", files), repository)
    assert registry.get(f"{repository}/tags/list").status_code == 404


def test_the_manifest_is_the_same_for_the_same_layers(tmp_path: Path) -> None:
    image: Image = read(made.docker_archive(tmp_path / "shop.tar"))
    assert image.manifest_of([]) == image.manifest_of([])

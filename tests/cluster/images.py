"""Images of Debian, images from a Dockerfile, and where they go: the node or the registry."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import archive, cache, node
from tests.cluster.components import BASE_IMAGE, POSTGRES_IMAGE
from tests.cluster.environment import CA_FILE, CACHE, STATE, run

BASE_PACKAGES = "ca-certificates,python3,python3-venv"
DPKG_EXCLUDES = "path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n"
"""What packages that are installed later leave out as well."""

EMPTIED = (
    *("usr/share/doc", "usr/share/man", "usr/share/locale"),
    *("var/log", "var/lib/apt/lists", "var/cache/apt", "var/cache/debconf"),
)
"""Folders of Debian that an image does without."""

AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
STORAGE = CACHE / "buildah"

POSTGRES_USER = "999"
"""The official image's number, under which the platform's manifests run the database."""

POSTGRES_DOCKERFILE = f"""FROM {BASE_IMAGE}
RUN groupadd --gid {POSTGRES_USER} postgres \\
 && useradd --uid {POSTGRES_USER} --gid postgres --home-dir /var/lib/postgresql postgres \\
 && apt-get update \\
 && apt-get install --yes --no-install-recommends postgresql-common \\
 && sed -ri 's/#?create_main_cluster .*/create_main_cluster = false/' \\
    /etc/postgresql-common/createcluster.conf \\
 && apt-get install --yes --no-install-recommends postgresql-15 \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
USER {POSTGRES_USER}
"""


def base_layer() -> Path:
    """A slim Debian bookworm with Python as one layer, made once by debootstrap."""
    return cache.made(CACHE / f"debian-{_key(BASE_PACKAGES, DPKG_EXCLUDES)}.tar", _debootstrap)


def base_image() -> Path:
    """The archive of `dev.local/debian-python:bookworm`, which a Dockerfile may start FROM."""
    layer = base_layer()

    def make(path: Path) -> None:
        archive.write_images([archive.Image(BASE_IMAGE, (layer,))], path)
        _buildah("pull", "--quiet", f"docker-archive:{path}")

    return cache.made(layer.with_name(f"image-{layer.name}"), make)


def postgres_image() -> Path:
    """The archive of `dev.local/postgres:15`: Debian's server, with no database made yet."""

    def make(path: Path) -> None:
        with tempfile.TemporaryDirectory() as context:
            dockerfile = Path(context) / "Dockerfile"
            dockerfile.write_text(POSTGRES_DOCKERFILE)
            _build(POSTGRES_IMAGE, dockerfile, Path(context), {}, path)

    sources = _key(BASE_PACKAGES, DPKG_EXCLUDES, POSTGRES_DOCKERFILE)
    return cache.made(CACHE / f"postgres-{sources}.tar", make)


def build_image(
    tag: str, dockerfile: Path, context: Path, build_args: Mapping[str, str] | None = None
) -> None:
    """Build an image as Docker would and hand it to the node's containerd under `tag`.

    The build has the machine's network, authorities and pip settings; they are mounted
    while it runs and stay out of the image. Layers are kept for the next build.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tar"
        _build(tag, dockerfile, context, build_args or {}, path)
        load_image(path)


def load_image(path: Path) -> None:
    """Hand an image archive (Docker's or OCI's) to the node's containerd."""
    node.import_images(path)


def push_image(source: Path | str, reference: str) -> str:
    """Push an archive, or an image that `build_image` made, to the registry.

    `reference` is `{REGISTRY}/repository:tag`; returns the pushed manifest's digest.
    """
    if isinstance(source, Path):
        origin = f"docker-archive:{source}"
    else:
        origin = f"containers-storage:[overlay@{STORAGE}+{STORAGE}-run]{source}"
    with tempfile.TemporaryDirectory() as folder:
        digest = Path(folder) / "digest"
        # skopeo takes every *.crt of a folder for an authority.
        shutil.copy(CA_FILE, folder)
        options = [f"--dest-cert-dir={folder}", f"--digestfile={digest}"]
        command = ["skopeo", "--insecure-policy", "copy", "--quiet", *options]
        _privately(
            [*command, origin, f"docker://{reference}"], mount=(STATE / "hosts", "/etc/hosts")
        )
        return digest.read_text().strip()


def _build(
    tag: str, dockerfile: Path, context: Path, build_args: Mapping[str, str], path: Path
) -> None:
    base_image()
    arguments = [f"--build-arg={name}={value}" for name, value in build_args.items()]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--isolation=chroot", "--layers", "--network=host", "--pull-never", "--quiet"]
        options += [f"--volume={mount}" for mount in _machine_settings(Path(folder))]
        _buildah("bud", *options, *arguments, f"--tag={tag}", f"--file={dockerfile}", str(context))
    _buildah("push", "--quiet", tag, f"docker-archive:{path}:{tag}")


def _debootstrap(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="debootstrap-") as folder:
        root = Path(folder)
        include = f"--include={BASE_PACKAGES}"
        mirror = _debian_mirror()
        _privately(["debootstrap", "--variant=minbase", include, "bookworm", folder, *mirror])
        for name in EMPTIED:
            cache.remove(root / name)
            (root / name).mkdir()
        (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(DPKG_EXCLUDES)
        # A place for the machine's pip settings to be mounted on while an image is built.
        (root / "etc/pip.conf").touch()
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        run(["tar", "--numeric-owner", "-C", folder, "-cf", str(path), "--exclude=./dev/*", "."])


def _machine_settings(folder: Path) -> list[str]:
    """Mounts that lend a build this machine's authorities and pip settings."""
    settings = {"cert": AUTHORITIES}
    mounts = [f"{os.path.realpath(AUTHORITIES)}:{AUTHORITIES}:ro"]
    for name in ("index-url", "extra-index-url", "timeout", "trusted-host", "no-index"):
        if value := os.environ.get(f"PIP_{name.replace('-', '_').upper()}"):
            settings[name] = value
    wheels = os.environ.get("PIP_FIND_LINKS", "")
    if wheels and Path(wheels).is_dir():
        settings["find-links"] = "/mnt"
        mounts.append(f"{wheels}:/mnt:ro")
    elif wheels:
        settings["find-links"] = wheels
    pip = folder / "pip.conf"
    pip.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
    return [*mounts, f"{pip}:/etc/pip.conf:ro"]


def _buildah(*arguments: str) -> str:
    storage = [f"--root={STORAGE}", f"--runroot={STORAGE}-run", "--storage-driver=overlay"]
    return _privately(["buildah", *storage, *arguments])


def _privately(command: list[str], mount: tuple[Path, str] | None = None) -> str:
    """Run a command whose mounts end with it, one of them perhaps a file over another."""
    first = f"mount --bind {mount[0]} {mount[1]} && " if mount else ""
    private = ["unshare", "--mount", "--propagation=private", "--"]
    return run([*private, "sh", "-c", f'{first}exec "$@"', "sh", *command])


def _debian_mirror() -> list[str]:
    """Where this machine gets bookworm from, if it does; debootstrap knows a place itself."""
    form = '--format={"site": "$(REPO_URI)", "release": "$(RELEASE)"}'
    try:
        listed = run(["apt-get", "indextargets", form, "Identifier: Packages"])
    except (subprocess.CalledProcessError, FileNotFoundError):
        return []
    targets = [json.loads(line) for line in listed.splitlines()]
    return [target["site"] for target in targets if target["release"] == "bookworm"][:1]


def _key(*sources: str) -> str:
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]

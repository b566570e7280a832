"""The platform on the test cluster: its image, and then as every operator installs it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import tempfile
from pathlib import Path

from tests.cluster import archive, build, cache, images, settings
from tests.cluster.components import BASE_IMAGE, NOBODY
from tests.cluster.environment import CACHE, KUBECONFIG, ROOT, STATE, SYSTEM_NAMESPACE, kubectl
from tests.cluster.progress import BootError, Steps
from tests.journeys.platform import MAXCLOUD

OVERLAY = ROOT / "deploy/overlays/local"
DISTRIBUTION_IMAGE = "dev.local/distribution:3.1.2"
STORAGE_IMAGE = "dev.local/versitygw:v1.8.0"
UNTAGGED = "dev.local/maxcloud:dev"
IN_IMAGE = ("shared/maxcloud", "functions", "requirements/functions.txt", "deploy/Dockerfile")

# Where Distribution keeps its images: the overlay's S3 server.
STORAGE = {
    "REGISTRY_STORAGE_S3_BUCKET": "images",
    "REGISTRY_STORAGE_S3_REGION": "local",
    "REGISTRY_STORAGE_S3_REGIONENDPOINT": f"http://storage.{SYSTEM_NAMESPACE}.svc.cluster.local:7070",
    "REGISTRY_STORAGE_S3_FORCEPATHSTYLE": "true",
}


def install(steps: Steps) -> None:
    """Build the functions' image and let `maxcloud platform install` put the overlay here.

    A second time with the same sources it changes nothing.
    """
    image = f"dev.local/maxcloud:{_fingerprint()}"
    base = {"BASE": BASE_IMAGE, "COMMIT": _commit()}
    with steps.step("build the functions' image"):
        images.build_image(image, ROOT / "deploy/Dockerfile", ROOT, base)
        images.load_image(_registry_images())
    settings.know_private_registry()
    with steps.step("install the platform"):
        _operate("install", "--manifests", "-", stdin=manifests(image))


def manifests(image: str) -> str:
    """Return the overlay for one machine, with an image of the functions."""
    return kubectl("kustomize", str(OVERLAY)).replace(UNTAGGED, image)


def environment() -> dict[str, str]:
    """Return what an installation on this cluster is told."""
    return {**os.environ, "KUBECONFIG": str(KUBECONFIG), **STORAGE, **_storage_keys()}


def _operate(*words: str, stdin: str) -> None:
    command = [str(MAXCLOUD), "platform", *words]
    done = subprocess.run(
        command,
        env=environment(),
        input=stdin,
        stdout=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BootError("the platform was not installed")


def _storage_keys() -> dict[str, str]:
    """The keys of the S3 server, the same for each installation on a cluster."""
    kept = STATE / "storage.json"
    if not kept.exists():
        kept.touch(mode=0o600)
        names = ("REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_S3_SECRETKEY")
        kept.write_text(json.dumps({name: secrets.token_urlsafe(24) for name in names}))
    found: dict[str, str] = json.loads(kept.read_text())
    return found


def _registry_images() -> Path:
    """The archive of Distribution's image and the S3 server's: the programs alone."""

    def make(path: Path) -> None:
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            made = []
            for name, program, inside in (
                (DISTRIBUTION_IMAGE, "registry", "/bin/registry"),
                (STORAGE_IMAGE, "versitygw", "/usr/local/bin/versitygw"),
            ):
                layer = Path(folder) / f"{program}.tar"
                archive.program_layer(build.registry_programs() / program, inside, layer)
                made.append(archive.Image(name, (layer,), (inside,), NOBODY))
            archive.write_images(made, path)

    return cache.made(CACHE / f"private-registry-{build.registry_key()}.tar", make)


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for top in IN_IMAGE:
        path = ROOT / top
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"

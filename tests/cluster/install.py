"""Install the platform on the test cluster, from the manifests that every installation has."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from maxcloud import registry
from tests.cluster import archive, build, cache, images, settings
from tests.cluster.components import BASE_IMAGE, NOBODY
from tests.cluster.environment import CACHE, ROOT, SYSTEM_NAMESPACE, kubectl
from tests.cluster.progress import Steps

OVERLAY = ROOT / "deploy/overlays/local"
DISTRIBUTION_IMAGE = "dev.local/distribution:3.1.2"
STORAGE_IMAGE = "dev.local/versitygw:v1.8.0"
UNTAGGED = "dev.local/maxcloud:dev"
IN_IMAGE = ("shared/maxcloud", "functions", "requirements/functions.txt", "deploy/Dockerfile")

FUNCTIONS = (
    *("health", "logs", "services", "auth", "invites", "registry"),
    *("mailer", "reconcile", "status"),
)

IN_SYSTEM = ("-n", SYSTEM_NAMESPACE)
WITHIN = "--timeout=180s"


def install(steps: Steps) -> None:
    """Build the functions' image, apply the manifests and wait until the platform answers.

    A second time with the same sources it changes nothing.
    """
    image = f"dev.local/maxcloud:{_fingerprint()}"
    base = {"BASE": BASE_IMAGE, "COMMIT": _commit()}
    with steps.step("build the functions' image"):
        images.build_image(image, ROOT / "deploy/Dockerfile", ROOT, base)
        images.load_image(_registry_images())
    _make_secrets()
    settings.know_private_registry()
    manifests = kubectl("kustomize", str(OVERLAY)).replace(UNTAGGED, image)
    objects = list(yaml.safe_load_all(manifests))
    with steps.step("start the database and migrate"):
        _apply([item for item in objects if item["kind"] not in {"Job", "Trigger"}])
        kubectl("rollout", "status", "statefulset/postgres", *IN_SYSTEM, WITHIN)
        kubectl("delete", "job", "migrate", *IN_SYSTEM, "--ignore-not-found")
        _apply([item for item in objects if item["kind"] == "Job"])
        _wait("job/migrate", "Complete")
    with steps.step("start the functions and their events"):
        for deployment in ("storage", "distribution"):
            kubectl("rollout", "status", f"deployment/{deployment}", *IN_SYSTEM, WITHIN)
        for function in FUNCTIONS:
            _wait(f"ksvc/{function}", "Ready")
        # Last: a Trigger that comes before its subscriber is looked at again only by backoff.
        _apply([item for item in objects if item["kind"] == "Trigger"])
        for host in ("api", "distribution"):
            _wait(f"ingress.networking.internal.knative.dev/{host}", "Ready")
        for thing in (
            "broker/maxcloud",
            "trigger/mailer",
            "trigger/reconcile",
            "trigger/status",
            "trigger/status-hints",
        ):
            _wait(thing, "Ready")
        for source in ("apiserversource/services", "pingsource/sweep"):
            _wait(source, "Ready")


def _apply(objects: list[dict[str, Any]]) -> None:
    # A manager of its own: under kubectl's, what Knative's own files set would be taken away.
    ours = ("--server-side", "--force-conflicts", "--field-manager=maxcloud")
    kubectl("apply", *ours, "-f", "-", stdin=yaml.safe_dump_all(objects))


def _wait(thing: str, condition: str) -> None:
    kubectl("wait", thing, *IN_SYSTEM, f"--for=condition={condition}", WITHIN)


def _make_secrets() -> None:
    """Make the database's passwords and all keys once; a second installation keeps them."""
    data = {}
    for role, user in (("owner", "postgres"), ("api", "mc_api"), ("worker", "mc_worker")):
        password = secrets.token_urlsafe(24)
        data[f"{role}-password"] = password
        data[f"{role}-url"] = f"postgresql://{user}:{password}@postgres.mc-system/postgres"
    _make_secret("database", data)
    _make_secret("platform", {"secret-key": secrets.token_urlsafe(32)})
    signing = secrets.token_urlsafe(32)
    keys = {
        "jwt-secret": signing,
        "jwks.json": json.dumps(registry.jwks([signing])),
        "hook-secret": registry.hook_secrets([signing])[0],
        "http-secret": secrets.token_urlsafe(32),
    }
    _make_secret("registry", keys)
    storage = {
        "BUCKET": "images",
        "REGION": "local",
        "REGIONENDPOINT": f"http://storage.{SYSTEM_NAMESPACE}.svc.cluster.local:7070",
        "FORCEPATHSTYLE": "true",
        "ACCESSKEY": secrets.token_urlsafe(12),
        "SECRETKEY": secrets.token_urlsafe(24),
    }
    _make_secret("registry-storage", {f"REGISTRY_STORAGE_S3_{k}": v for k, v in storage.items()})


def _make_secret(name: str, data: dict[str, str]) -> None:
    """Make a Secret, unless there is one with the same keys in it."""
    there = kubectl("get", "secret", name, *IN_SYSTEM, "--ignore-not-found", "-o", "json")
    if there and json.loads(there)["data"].keys() == data.keys():
        return
    kubectl("delete", "secret", name, *IN_SYSTEM, "--ignore-not-found")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE},
        "stringData": data,
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(secret))


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

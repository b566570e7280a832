"""Install the platform on the test cluster, from the manifests that every installation has."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
from pathlib import Path

from tests.cluster import images
from tests.cluster.components import BASE_IMAGE
from tests.cluster.environment import SYSTEM_NAMESPACE, kubectl

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "deploy/overlays/local"
UNTAGGED = "dev.local/maxcloud:dev"
IN_IMAGE = ("shared/maxcloud", "functions", "requirements/functions.txt", "deploy/Dockerfile")

FUNCTIONS = ("health", "services", "reconcile", "status")


def install() -> None:
    """Build the functions' image, apply the manifests and wait until the platform answers.

    A second time with the same sources it changes nothing.
    """
    image = f"dev.local/maxcloud:{_fingerprint()}"
    images.postgres_image()
    base = {"BASE": BASE_IMAGE, "COMMIT": _commit()}
    images.build_image(image, ROOT / "deploy/Dockerfile", ROOT, base)
    _make_secret()
    kubectl("delete", "job", "migrate", "-n", SYSTEM_NAMESPACE, "--ignore-not-found")
    manifests = kubectl("kustomize", str(OVERLAY)).replace(UNTAGGED, image)
    # A manager of its own: under kubectl's, what Knative's own files set would be taken away.
    ours = ("--server-side", "--force-conflicts", "--field-manager=maxcloud")
    kubectl("apply", *ours, "-f", "-", stdin=manifests)
    _wait("job/migrate", "Complete")
    for function in FUNCTIONS:
        _wait(f"ksvc/{function}", "Ready")
    _wait("ingress.networking.internal.knative.dev/api", "Ready")
    for thing in ("broker/maxcloud", "trigger/reconcile", "trigger/status"):
        _wait(thing, "Ready")
    for source in ("apiserversource/services", "pingsource/sweep"):
        _wait(source, "Ready")


def _wait(thing: str, condition: str) -> None:
    timeout = "--timeout=180s"
    kubectl("wait", thing, "-n", SYSTEM_NAMESPACE, f"--for=condition={condition}", timeout)


def _make_secret() -> None:
    """Make the database's passwords once; a second installation keeps them."""
    if kubectl("get", "secret", "database", "-n", SYSTEM_NAMESPACE, "--ignore-not-found"):
        return
    data = {}
    for role, user in (("owner", "postgres"), ("api", "mc_api"), ("worker", "mc_worker")):
        password = secrets.token_urlsafe(24)
        data[f"{role}-password"] = password
        data[f"{role}-url"] = f"postgresql://{user}:{password}@postgres.mc-system/postgres"
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "database", "namespace": SYSTEM_NAMESPACE},
        "stringData": data,
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(secret))


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

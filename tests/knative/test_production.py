"""Every manifest of production before the real API server, with the real kinds: a dry run each.

The kinds come from the components' own Go modules; they and the namespaces are taken away again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from maxcloud_hetzner import addons, secrets
from tests.cluster.environment import CommandFailed, kubectl
from tests.unit.test_production import HETZNER, OVERLAYS, name_of, rendered

Object = dict[str, Any]

# The versions are those of the charts in deploy/hetzner/charts, and of deploy/hetzner/release.
KINDS = {
    "github.com/cert-manager/cert-manager@v1.21.2": "deploy/crds",
    "github.com/cloudnative-pg/cloudnative-pg@v1.30.0": "config/crd/bases",
    "github.com/cloudnative-pg/plugin-barman-cloud@v0.13.0": "config/crd/bases",
    "github.com/k3s-io/helm-controller@v0.17.9": "pkg/crds/yaml/generated",
    "knative.dev/eventing-natss@v0.48.1": "config/jetstream",
}
NAMESPACES = ("cert-manager", "external-dns", "nats", "cnpg-system", "mc-database")

DRY = (
    "apply",
    "--server-side",
    "--force-conflicts",
    "--dry-run=server",
    "--field-manager=maxcloud",
)


def module(name: str) -> Path:
    """Where a Go module's files are; skips the test where it cannot be had."""
    if shutil.which("go") is None:
        pytest.skip("the kinds come from Go modules, and there is no Go here")
    command = ["go", "mod", "download", "-json", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    found: dict[str, str] = json.loads(done.stdout or "{}")
    if not found.get("Dir"):
        pytest.skip(f"{name} cannot be had here: {found.get('Error', done.stderr)[:200]}")
    return Path(found["Dir"])


def apply(objects: list[Object], *how: str) -> str:
    return kubectl(*how, "-f", "-", stdin=yaml.safe_dump_all(objects))


@pytest.fixture(scope="module")
def kinds() -> Iterator[None]:
    """The components' kinds and namespaces, as long as these tests run."""
    folders = [module(name) / folder for name, folder in KINDS.items()]
    brought = [
        item
        for folder in folders
        for file in sorted(folder.glob("*.yaml"))
        for item in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        if item and item["kind"] == "CustomResourceDefinition"
    ]
    names = [
        {"metadata": {"name": name}, "kind": "Namespace", "apiVersion": "v1"} for name in NAMESPACES
    ]
    there = set(kubectl("get", "crd,ns", "-o", "name").split())
    assert not [each for each in NAMESPACES if f"namespace/{each}" in there]
    try:
        apply([*brought, *names], "apply", "--server-side", "--field-manager=maxcloud-test")
        kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=60s")
        yield
    finally:
        apply([*names, *brought], "delete", "--ignore-not-found", "--wait=false")


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize(
    "folder", [pytest.param(each, id=each.name) for each in (*HETZNER, *OVERLAYS.values())]
)
def test_the_api_server_takes_every_object(folder: Path) -> None:
    taken = apply([_new(each) for each in rendered(folder)], *DRY)
    assert taken.count("(server dry run)") == len(rendered(folder))


@pytest.mark.usefixtures("kinds")
def test_it_takes_what_is_built_as_data_too() -> None:
    said = {
        "HETZNER_API_TOKEN": "t",
        "HETZNER_S3_ACCESS_KEY": "a",
        "HETZNER_S3_SECRET_KEY": "s",
        "SECRET_KEY": "x" * 32,
    }
    made = secrets.objects(said, lambda *_: None, "nbg1", "bucket")
    apply([*made, *addons.objects("maxcloud", "t", 1)], *DRY)


@pytest.mark.usefixtures("kinds")
def test_it_refuses_a_field_that_there_is_not() -> None:
    """So the tests above would have seen a word that is misspelt."""
    [cluster] = [each for each in rendered(HETZNER[3]) if each["kind"] == "Cluster"]
    cluster["spec"]["instancez"] = 2
    with pytest.raises(CommandFailed, match="instancez"):
        apply([cluster], *DRY, "--validate=strict")


def _new(thing: Object) -> Object:
    """What may not be changed once it is there is shown beside what is here."""
    if name_of(thing)[1] in {"Job", "StatefulSet"}:
        thing["metadata"]["name"] += "-dry"
    return thing

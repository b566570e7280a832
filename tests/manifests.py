"""The files that tests hold together: manifests, and the functions' route tables."""

from pathlib import Path
from typing import Any

import yaml

from maxcloud import openapi
from tests.conftest import FUNCTIONS

ROOT = Path(__file__).parents[1]
DEPLOY, EVENTING = ROOT / "deploy", ROOT / "eventing"
BASE, KNATIVE, LOCAL = DEPLOY / "base", DEPLOY / "knative", DEPLOY / "overlays" / "local"

APIS = {api.function: api for api in openapi.load(FUNCTIONS)}


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file."""
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def resources(folder: Path) -> set[str]:
    """Return what a folder's kustomization applies."""
    found: list[str] = documents(folder / "kustomization.yaml")[0]["resources"]
    return set(found)

"""The manifests that this version brings: deploy/base, deploy/knative and eventing/ as they are."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

# Of this repository, or the copy that a wheel carries.
_COPY = Path(__file__).parent / "shipped"
ROOT = _COPY if _COPY.is_dir() else Path(__file__).parents[3]

BASE = ROOT / "deploy" / "base"
KNATIVE = ROOT / "deploy" / "knative"


def read(folder: Path, without: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield what a kustomization and those it names list, in their order, less some files."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    for name in listed["resources"]:
        path = folder / name
        if path.is_dir():
            yield from read(path, without)
        elif path.name not in without:
            yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))

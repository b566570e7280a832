"""Patches: JSON merge patch (RFC 7386), and what of a strategic one is the same."""

from typing import Any

from maxcloud_local.kubernetes.refusals import UnsupportedMediaType
from maxcloud_local.store import Object

MERGE = "application/merge-patch+json"
# kubectl sends it for Kubernetes' own kinds; of a map the two mean the same.
STRATEGIC = "application/strategic-merge-patch+json"


def patched(live: Object, patch: Object) -> Object:
    """Return a changed object, the live one left alone.

    Raises UnsupportedMediaType for a strategic patch that merges the elements of a list.
    """
    result: Object = _merged(live, patch)
    return result


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if key.startswith("$"):
            raise UnsupportedMediaType(
                f"the directive {key} of a strategic merge patch is not known here; "
                "replace the object, or send a merge patch"
            )
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result

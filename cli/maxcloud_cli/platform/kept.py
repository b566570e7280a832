"""What a Secret of the platform holds."""

import base64
from typing import TYPE_CHECKING

from maxcloud.system import NAMESPACE
from maxcloud_cli.platform.errors import NotInstalled

if TYPE_CHECKING:
    from maxcloud_cli.platform.cluster import Cluster


def value(cluster: "Cluster", secret: str, key: str) -> str:
    """Return what stands under a key of a Secret; raises NotInstalled."""
    found = cluster.get("v1", "Secret", secret, NAMESPACE)
    encoded = (found or {}).get("data", {}).get(key)
    if not encoded:
        raise NotInstalled(f"there is no {key} in Secret {secret} of {NAMESPACE}")
    return base64.b64decode(encoded).decode()

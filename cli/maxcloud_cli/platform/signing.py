"""What the private registry's tokens are signed with, and what Distribution is to know of it."""

from typing import TYPE_CHECKING, Any

from maxcloud_cli.platform import kept
from maxcloud_cli.platform.errors import KubernetesMissing

if TYPE_CHECKING:
    from maxcloud_cli.platform.cluster import Cluster

# Where deploy/base has REGISTRY_JWT_SECRET from.
SECRET, KEY = "registry", "jwt-secret"


def in_cluster(cluster: "Cluster") -> str:
    """Return REGISTRY_JWT_SECRET as a cluster's functions have it; raises NotInstalled."""
    return kept.value(cluster, SECRET, KEY)


def jwks(value: str) -> dict[str, Any]:
    """Return the public halves of all its keys, the one that signs first.

    Raises KubernetesMissing without the packages for it, and ConfigError.
    """
    try:
        from maxcloud import registry
        from maxcloud.config import registry_secrets
    except ModuleNotFoundError as error:
        raise KubernetesMissing(
            f"the commands for operators are not installed: the package {error.name} is missing"
        ) from error
    return registry.jwks(registry_secrets({"REGISTRY_JWT_SECRET": value}))

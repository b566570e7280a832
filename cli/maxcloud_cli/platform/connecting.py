"""How every command for operators gets its cluster."""

from typing import TYPE_CHECKING, Annotated

import typer

from maxcloud_cli.platform.errors import KubernetesMissing

if TYPE_CHECKING:
    from maxcloud_cli.platform.cluster import Cluster

CONTEXT = Annotated[
    str | None,
    typer.Option(metavar="C", help="The context of the kubeconfig.  [the current one]"),
]


def connect(context: str | None) -> "Cluster":
    """Return the cluster; raises KubernetesMissing without its client, and NoCluster."""
    try:
        from maxcloud_cli.platform.cluster import Cluster
    except ModuleNotFoundError as error:
        raise KubernetesMissing(
            f"the commands for operators are not installed: the package {error.name} is missing"
        ) from error
    return Cluster(context)

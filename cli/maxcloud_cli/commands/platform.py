"""For operators: the platform in a cluster, by a kubeconfig alone."""

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from maxcloud_cli import output
from maxcloud_cli.platform import signing
from maxcloud_cli.platform.errors import KubernetesMissing
from maxcloud_cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from maxcloud_cli.platform.cluster import Cluster

app = typer.Typer(
    help="Look after the platform in a cluster; for operators.", rich_markup_mode=None
)

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


@app.command(
    "registry-keys",
    epilog="\b\nExamples:\n"
    "  maxcloud platform registry-keys > jwks.json\n"
    '  REGISTRY_JWT_SECRET="$NEW,$OLD" maxcloud platform registry-keys > jwks.json',
)
@with_settings
def registry_keys(
    settings: Settings,
    *,
    context: Annotated[
        str | None,
        typer.Option(
            metavar="C", help="Ask this cluster, whatever REGISTRY_JWT_SECRET holds here."
        ),
    ] = None,
) -> None:
    """Print the keys by which Distribution knows the registry's tokens: a JWKS, with no secret.

    They are made of REGISTRY_JWT_SECRET where that is set, else of the current cluster's: key
    jwt-secret of Secret registry in mc-system. Of several secrets with commas between them the
    first signs, and tokens of all are taken. To rotate, let Distribution have the keys of the new
    and the old one before the functions have the new secret.
    """
    given = os.environ.get("REGISTRY_JWT_SECRET") if context is None else None
    found = signing.jwks(given or signing.in_cluster(connect(context)))
    if settings.output is output.Format.YAML:
        output.result(output.as_data(found, settings.output))
    else:
        output.result(json.dumps(found) if settings.quiet else json.dumps(found, indent=2))

"""For operators: the platform in a cluster, by a kubeconfig alone."""

import typer

from maxcloud_cli.commands import installing, operating
from maxcloud_cli.lazily import add

app = typer.Typer(
    help="Look after the platform in a cluster; for operators.", rich_markup_mode=None
)
for name, function in (
    ("install", installing.install),
    ("status", operating.status),
    ("dead-letters", operating.dead_letters),
    ("rollback", operating.rollback),
    ("registry-keys", operating.registry_keys),
    ("uninstall", installing.uninstall),
):
    add(app, name, function)

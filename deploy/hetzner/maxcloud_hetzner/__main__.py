"""`python -m maxcloud_hetzner`: a cluster at Hetzner for max-cloud."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from maxcloud_hetzner import components as parts
from maxcloud_hetzner import setup
from maxcloud_hetzner.errors import BadSetting, SetupError
from maxcloud_hetzner.programs import Kubectl
from maxcloud_hetzner.project import Project
from maxcloud_hetzner.settings import Settings
from maxcloud_hetzner.setup import Place

ENDPOINT = "https://api.hetzner.cloud/v1"

app = typer.Typer(
    help="Make, mend and remove the machines of a cluster at Hetzner.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)

TOKEN = Annotated[
    str,
    typer.Option(
        "--token",
        envvar=["HETZNER_API_TOKEN", "HCLOUD_TOKEN"],
        help="A token of the project, with read and write; better in the environment.",
        show_envvar=True,
    ),
]
NAME = Annotated[
    str,
    typer.Option("--name", envvar="HETZNER_CLUSTER", help="The cluster's name, in its machines'."),
]
OPERATORS = Annotated[
    list[str] | None,
    typer.Option(
        "--operator",
        metavar="ADDRESS",
        envvar="HETZNER_OPERATORS",
        help="Who may reach ports 22 and 6443: an address or a range; may be repeated.",
    ),
]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and end.")]
HOST = Annotated[str, typer.Option("--endpoint", envvar="HCLOUD_ENDPOINT", hidden=True)]


@app.command()
def up(
    *,
    token: TOKEN = "",
    name: NAME = "maxcloud",
    location: Annotated[
        str, typer.Option(envvar="HETZNER_LOCATION", help="nbg1, fsn1 or hel1.")
    ] = "nbg1",
    control_plane_type: Annotated[
        str, typer.Option(envvar="HETZNER_CONTROL_PLANE_TYPE", help="Its type of machine.")
    ] = "cx33",
    worker_type: Annotated[
        str, typer.Option(envvar="HETZNER_WORKER_TYPE", help="The workers' type of machine.")
    ] = "cx33",
    workers: Annotated[
        int, typer.Option(envvar="HETZNER_WORKERS", help="How many machines run services.")
    ] = 3,
    operator: OPERATORS = None,
    ssh_key: Annotated[
        Path, typer.Option(metavar="FILE", help="Your private key; the public one is beside it.")
    ] = Path("~/.ssh/id_ed25519"),
    state_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where kubeconfig goes.  [~/.config/maxcloud/NAME]"),
    ] = None,
    dry_run: DRY_RUN = False,
    endpoint: HOST = ENDPOINT,
) -> None:
    """Make a cluster, or mend one; a second time changes nothing.

    Such as `python -m maxcloud_hetzner up --operator 203.0.113.7`, with HETZNER_API_TOKEN set.
    """
    settings = Settings(
        name, location, control_plane_type, worker_type, workers, tuple(operator or ())
    )
    folder = state_dir or Path("~/.config/maxcloud") / name
    place = Place(folder.expanduser(), ssh_key.expanduser())
    setup.up(_project(token, endpoint, name), settings, place, token, _show, dry_run=dry_run)
    if not dry_run:
        typer.echo(place.kubeconfig)


@app.command()
def firewall(
    *,
    token: TOKEN = "",
    name: NAME = "maxcloud",
    operator: OPERATORS = None,
    endpoint: HOST = ENDPOINT,
) -> None:
    """Let these operators reach ports 22 and 6443, and nobody else."""
    settings = Settings(name, operators=tuple(operator or ()))
    setup.firewall(_project(token, endpoint, name), settings, _show)


@app.command()
def addons(
    *,
    token: TOKEN = "",
    name: NAME = "maxcloud",
    kubeconfig: Annotated[
        Path, typer.Option(metavar="FILE", envvar="KUBECONFIG", help="The cluster's.")
    ] = Path("~/.config/maxcloud/maxcloud/kubeconfig"),
    endpoint: HOST = ENDPOINT,
) -> None:
    """Bring the cloud controller and the volumes to this version, and renew their token."""
    kubectl = Kubectl(kubeconfig.expanduser())
    setup.install(_project(token, endpoint, name), name, kubectl, token, _show)


@app.command()
def components() -> None:
    """Put what the platform stands on into the cluster: Knative, TLS, DNS, events, database.

    It reads DNS_ZONE, ACME_EMAIL, HETZNER_CLUSTER, HETZNER_LOCATION, HETZNER_S3_BUCKET and the
    secrets from the environment, and reaches the cluster as kubectl does.
    """
    parts.install(Kubectl(), os.environ, _show)


@app.command()
def manifests() -> None:
    """Print the platform's manifests with DNS_ZONE and MAXCLOUD_IMAGE in them.

    They are for `maxcloud platform install --manifests -`, or for deploy/roll-out.
    """
    sys.stdout.write(parts.platform(Kubectl(), os.environ))


@app.command()
def down(
    *,
    token: TOKEN = "",
    name: NAME = "maxcloud",
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Its volumes too: the data in them is gone.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: DRY_RUN = False,
    endpoint: HOST = ENDPOINT,
) -> None:
    """Remove the cluster: what has its label, and its load balancers. Volumes stay."""
    if not (yes or dry_run):
        typed = typer.prompt(f"This ends every service. Type the cluster's name ({name})", err=True)
        if typed != name:
            raise BadSetting("that is not its name: nothing is removed")
    project = _project(token, endpoint, name)
    setup.down(project, _show, with_volumes=volumes, dry_run=dry_run)


def _project(token: str, endpoint: str, name: str) -> Project:
    if not token:
        raise BadSetting(
            "HETZNER_API_TOKEN is not set: make one in the project's security settings"
        )
    return Project(token, endpoint, name)


def _show(line: str) -> None:
    typer.echo(line, err=True)


def main() -> None:
    """Run one command; an error is one sentence on stderr, and exit code 1."""
    try:
        app()
    except SetupError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()

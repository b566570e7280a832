"""Putting the platform into a cluster and out of it: `maxcloud platform install | uninstall`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maxcloud_cli import output
from maxcloud_cli.platform.connecting import CONTEXT, connect
from maxcloud_cli.platform.errors import ManifestsUnreadable, NotReady
from maxcloud_cli.progress import Progress, Step
from maxcloud_cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from maxcloud_cli.platform.cluster import Cluster
    from maxcloud_cli.platform.parts import Object
    from maxcloud_cli.platform.steps import Change, Show

DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and end.")]


@with_settings
def install(
    settings: Settings,
    *,
    domain: Annotated[
        str | None,
        typer.Option(
            metavar="D", help="Services get https://{name}.D, the API https://api.D.  [as it is]"
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(metavar="IMAGE", help="The image of all functions, by digest.  [as it is]"),
    ] = None,
    email_from: Annotated[
        str | None,
        typer.Option(metavar="E", help="Who the mails are from.  [as it is, or noreply@D]"),
    ] = None,
    manifests: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Manifests of your own instead of those of this version, such as "
            "`kubectl kustomize` of an overlay prints; - for standard input.",
        ),
    ] = None,
    dry_run: DRY_RUN = False,
    context: CONTEXT = None,
) -> None:
    """Put the platform into a cluster with Knative, or bring it to this version.

    It looks at the cluster first and says in words what is missing. Keys and passwords are made
    once. Mail goes through RESEND_API_KEY or SMTP_URL, images of the private registry to where
    Distribution's REGISTRY_STORAGE_… variables say: both are read from the environment and kept in
    the cluster. What is as it should be is left alone, so a second time changes nothing.

    Examples:
      maxcloud platform install --domain example.eu --image registry.example.eu/maxcloud@sha256:…
      kubectl kustomize my-overlay | maxcloud platform install --manifests -
    """
    cluster = connect(context)
    from maxcloud_cli.platform import checks, plan, secrets
    from maxcloud_cli.platform import installing as platform

    objects = (
        _read(manifests) if manifests is not None else _shipped(cluster, domain, image, email_from)
    )
    said = secrets.said(os.environ)
    if problems := checks.problems(cluster, objects, said):
        raise NotReady(problems)
    wanted = platform.prepared(cluster, objects, said)
    if dry_run:
        _show_changes(settings, platform.changes(cluster, wanted))
        return
    with Progress("Installing max-cloud", quiet=settings.quiet) as progress:
        platform.install(cluster, wanted, _show(progress))
    output.result(plan.api_url(objects))


@with_settings
def uninstall(
    settings: Settings,
    *,
    tenants: Annotated[
        bool,
        typer.Option(
            "--tenants", help="Delete all organisations, their services and the database too."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: DRY_RUN = False,
    context: CONTEXT = None,
) -> None:
    """Take the platform out of a cluster: what an installation made, and nothing else.

    Services of tenants go on serving, and the database, the Secrets and Knative's settings stay for
    a later installation, unless --tenants is given.
    """
    if not (yes or dry_run) and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise typer.BadParameter(
            "uninstalling without a terminal to ask on needs it", param_hint="--yes"
        )
    cluster = connect(context)
    from maxcloud_cli.platform import removing

    if dry_run:
        _show_changes(settings, removing.uninstalling(cluster, tenants=tenants))
        return
    what = "max-cloud with all tenants and their data" if tenants else "max-cloud"
    if not yes and not typer.confirm(f"Take {what} out of this cluster?", err=True):
        output.remark("it stays")
        raise typer.Exit(1)
    with Progress(f"Taking {what} out", quiet=settings.quiet) as progress:
        removing.uninstall(cluster, _show(progress), tenants=tenants)


def _read(manifests: str) -> "list[Object]":
    """Return the objects of a file; raises ManifestsUnreadable."""
    import yaml

    try:
        text = sys.stdin.read() if manifests == "-" else Path(manifests).read_text("utf-8")
        found = [each for each in yaml.safe_load_all(text) if each]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ManifestsUnreadable(f"{manifests} cannot be read: {error}") from error
    if not all(isinstance(each, dict) and {"kind", "metadata"} <= each.keys() for each in found):
        raise ManifestsUnreadable(f"{manifests} holds something that is no Kubernetes object")
    return found


def _shipped(
    cluster: "Cluster", domain: str | None, image: str | None, email_from: str | None
) -> "list[Object]":
    """Return what this version brings; what is not said stays as an installation before said it.

    Raises NotReady where neither says it.
    """
    from maxcloud_cli.platform import parts, plan

    there = cluster.get("v1", "ConfigMap", plan.SETTINGS, parts.SYSTEM) or {}
    kept: dict[str, str] = there.get("data", {})
    domain = domain or kept.get("MAXCLOUD_DOMAIN")
    running = cluster.get(*parts.KSVC, "health", parts.SYSTEM)
    if image is None and running is not None:
        [container] = plan.containers(running)
        image = container["image"]
    missing = [] if domain else ["say the domain of the platform with --domain"]
    missing += [] if image else ["say the image of the functions with --image"]
    if domain is None or image is None:
        raise NotReady(missing)
    # Another domain is another registry; what an operator has set beside it stays.
    follow = {"MAXCLOUD_DOMAIN", "REGISTRY_URL", "REGISTRY_ADDRESS"}
    stays = {name: value for name, value in kept.items() if name not in follow}
    host = domain.partition(":")[0]
    email = email_from or kept.get("EMAIL_FROM") or f"noreply@{host}"
    return plan.shipped(domain, image, {**stays, "EMAIL_FROM": email})


def _show(progress: Progress) -> "Show":
    from maxcloud_cli.platform.steps import Show

    return Show(
        reached=lambda title: progress.show([Step(title)]),
        waiting=lambda what: progress.show([], what),
    )


def _show_changes(settings: Settings, changes: "Sequence[Change]") -> None:
    to_do = [each for each in changes if each.what != "same"]
    if settings.output is not output.Format.TABLE:
        data = [{"what": each.what, "kind": each.kind, "name": each.name} for each in to_do]
        output.result(output.as_data(data, settings.output))
    elif to_do:
        rows = [(each.what, each.kind, each.name) for each in to_do]
        output.result(output.table(("WHAT", "KIND", "NAME"), rows))
    else:
        output.result("nothing to do")

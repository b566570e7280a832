"""Looking after a platform that is there: `maxcloud platform status`, `rollback` and so on."""

import json
import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from maxcloud_cli import output
from maxcloud_cli.platform import signing
from maxcloud_cli.platform.connecting import CONTEXT, connect
from maxcloud_cli.platform.errors import Unwell
from maxcloud_cli.settings import Settings, with_settings


@with_settings
def status(settings: Settings, *, context: CONTEXT = None) -> None:
    """Show what runs, what is not well, what waits, and what all of it costs at rest.

    Exits with 1 when a function or another part is not ready, or the database is silent.
    """
    cluster = connect(context)
    from maxcloud_cli.platform import look, pages

    state = look.look(cluster)
    if settings.output is not output.Format.TABLE:
        output.result(output.as_data(state, settings.output))
    elif not settings.quiet:
        output.result(pages.status(state, datetime.now(UTC)))
    if not look.is_well(state):
        raise Unwell("the platform is not well")


@with_settings
def dead_letters(
    settings: Settings,
    *,
    replay: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Publish this event again; may be repeated."),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Forget this event; may be repeated.")
    ] = None,
    context: CONTEXT = None,
) -> None:
    """List the events that no function would take, say them again, or forget them.

    Examples:
      maxcloud platform dead-letters
      maxcloud platform dead-letters --replay 0d9e…
    """
    cluster = connect(context)
    from maxcloud_cli.platform import jobs, pages

    for word, ids in (("replay", replay), ("drop", drop)):
        if ids:
            done = jobs.ask(cluster, word, *ids)["done"]
            output.remark(f"{word}: {len(done)} of {len(ids)}")
    if replay or drop:
        return
    found = jobs.ask(cluster, "report")["dead_letters"]
    if settings.output is not output.Format.TABLE:
        output.result(output.as_data(found, settings.output))
    elif settings.quiet:
        for each in found:
            output.result(each["id"])
    else:
        output.result(pages.dead_letters(found))


@with_settings
def rollback(
    settings: Settings,
    function: Annotated[str, typer.Argument(metavar="FUNCTION", help="services, reconcile, …")],
    *,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="REVISION", help="The revision to serve.  [the one before that was ready]"
        ),
    ] = None,
    context: CONTEXT = None,
) -> None:
    """Send all requests of a function to its revision before.

    It asks nothing of the API, so it works while that is broken. The next installation sends the
    requests to the newest revision again.
    """
    cluster = connect(context)
    from maxcloud_cli.platform import mend
    from maxcloud_cli.progress import Progress, Step

    with Progress(f"Taking {function} back", quiet=settings.quiet) as progress:
        before, now = mend.rollback(cluster, function, to, lambda what: progress.show([], what))
        progress.show([Step(f"{now} serves", f"instead of {before}")])
    output.result(now)


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

    Examples:
      maxcloud platform registry-keys > jwks.json
      REGISTRY_JWT_SECRET="$NEW,$OLD" maxcloud platform registry-keys > jwks.json
    """
    given = os.environ.get("REGISTRY_JWT_SECRET") if context is None else None
    found = signing.jwks(given or signing.in_cluster(connect(context)))
    if settings.output is output.Format.YAML:
        output.result(output.as_data(found, settings.output))
    else:
        output.result(json.dumps(found) if settings.quiet else json.dumps(found, indent=2))

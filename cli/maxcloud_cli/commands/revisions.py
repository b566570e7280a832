"""A service's revisions, and which of them get its requests."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from maxcloud_cli import output, pages, routing
from maxcloud_cli.commands.services import NO_WAIT, SERVICE, WAIT_TIMEOUT
from maxcloud_cli.progress import Progress, Step
from maxcloud_cli.settings import Settings, with_settings
from maxcloud_cli.waiting import StillGoing, until_moved

if TYPE_CHECKING:
    from maxcloud.models import Revision, Service
    from maxcloud.traffic import TrafficShare


class NothingOlder(Exception):
    """There is no revision that a service could be rolled back to."""


@with_settings
def revisions(settings: Settings, service: SERVICE) -> None:
    """List a service's revisions, newest first."""
    with settings.client() as client:
        found = client.revisions(service)
    if settings.output is not output.Format.TABLE:
        output.result(
            output.as_data([each.model_dump(mode="json") for each in found], settings.output)
        )
    elif settings.quiet:
        for each in found:
            output.result(each.name)
    else:
        output.result(pages.revisions_table(found))


@with_settings
def rollback(
    settings: Settings,
    service: SERVICE,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="REVISION", help="The revision to serve.  [the one before that was ready]"
        ),
    ] = None,
    no_wait: NO_WAIT = False,
    wait_timeout: WAIT_TIMEOUT = 300,
) -> None:
    """Send all requests to an older revision.

    The next deploy sends them to the newest again.
    """
    from maxcloud.traffic import arranged

    def choose(found: "Service", history: "Sequence[Revision]") -> "list[TrafficShare]":
        revision = to or _one_before(found, history)
        return arranged(found.shares, {revision: 100})

    _move(settings, service, choose, None if no_wait else wait_timeout)


@with_settings
def traffic(
    settings: Settings,
    service: SERVICE,
    *,
    shares: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REVISION=PERCENT...",
            help="A revision's name, or latest, and its share; they sum to 100.",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REVISION=TAG",
            help="Give a revision a URL of its own, https://{name}--{tag}.…; may be repeated.",
        ),
    ] = None,
    remove_tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Take a tag away; may be repeated.")
    ] = None,
    no_wait: NO_WAIT = False,
    wait_timeout: WAIT_TIMEOUT = 300,
) -> None:
    """Split a service's requests, or show the split.

    Shares that are given replace all others; tags that are not named stay.

    Examples:
      maxcloud traffic shop shop-00003=80 shop-00004=20
      maxcloud traffic shop latest=100
      maxcloud traffic shop --tag shop-00004=next
    """
    percents, tags = routing.percents(shares or []), routing.tags(tag or [])
    if not (percents or tags or remove_tag):
        with settings.client() as client:
            _show(settings, client.get_service(service))
        return
    from maxcloud.traffic import arranged

    _move(
        settings,
        service,
        lambda found, _: arranged(found.shares, percents or None, tags, remove_tag or []),
        None if no_wait else wait_timeout,
    )


def _one_before(service: "Service", history: "Sequence[Revision]") -> str:
    """Return the newest revision that is older than the one that serves, and was ever ready."""
    from maxcloud.traffic import serving

    names = [each.name for each in history]
    serves = serving(service.shares, service.ready_revision)
    older = history[names.index(serves) + 1 :] if serves in names else history
    for each in older:
        if each.ready_at:
            return each.name
    raise NothingOlder(f"{service.name} has no older revision that was ever ready")


def _move(
    settings: Settings,
    id_or_name: str,
    choose: "Callable[[Service, Sequence[Revision]], list[TrafficShare]]",
    limit: float | None,
) -> None:
    """Write the traffic that is chosen, wait until it flows, and show it."""
    accepted = False
    try:
        with settings.client() as client:
            found = client.get_service(id_or_name)
            shares = choose(found, client.revisions(str(found.id)))
            with Progress(f"Moving the traffic of {found.name}", quiet=settings.quiet) as progress:
                service = client.set_traffic(str(found.id), shares, if_match=found.generation)
                accepted = True
                progress.show([Step("accepted")])
                if limit is not None:
                    service = until_moved(client, service, progress, limit)
    except KeyboardInterrupt:
        raise StillGoing("move", id_or_name, interrupted=True, accepted=accepted) from None
    _show(settings, service)


def _show(settings: Settings, service: "Service") -> None:
    if settings.output is not output.Format.TABLE:
        data = [each.model_dump(mode="json") for each in service.traffic]
        output.result(output.as_data(data, settings.output))
    elif settings.quiet:
        output.result(service.url)
    else:
        output.result(pages.traffic_table(service))

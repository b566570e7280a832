"""Reading what a service's instances write."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from maxcloud_cli.commands.services import SERVICE
from maxcloud_cli.entries import Entries
from maxcloud_cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from maxcloud.following import LogEvent


@with_settings
def logs(
    settings: Settings,
    service: SERVICE,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is written, until Ctrl-C.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option(metavar="N", help="The last lines, of all instances.  [100]")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="T", help="Not older than: 30s, 10m, 2h, or a time.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="R", help="Of this revision's instances alone.")
    ] = None,
) -> None:
    """Show what a service's instances wrote, and write.

    Each line begins with the end of its instance's name; with --quiet it stands alone. What
    instances wrote that are gone is gone with them.

    Examples:
      maxcloud logs shop
      maxcloud logs shop --follow
      maxcloud logs shop --since 10m --tail 1000
      maxcloud logs shop --revision shop-00003 -o json
    """
    entries = Entries(settings, is_followed=follow)
    with settings.client() as client:
        _show(client.log_events(service, follow, tail, since, revision), entries)
    if follow:
        entries.remark(f"{service} was deleted")
    elif not entries.instances:
        entries.remark(f"no instance of {service} runs; the next request starts one")
    elif not entries.shown and tail != 0:
        entries.remark(f"nothing was written by its instances ({entries.instances})")


def _show(events: "Iterator[LogEvent]", entries: Entries) -> None:
    from maxcloud.instances import Instance, LogEntry

    for event in events:
        if isinstance(event, LogEntry):
            entries.show(event)
        elif isinstance(event, Instance):
            entries.tell(event)
        else:
            entries.interrupted(event)

"""What options ask of a service's traffic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from maxcloud.models import Service
    from maxcloud.traffic import TrafficShare


@dataclass(frozen=True)
class Routing:
    """What a deploy says of the requests: `no_traffic` leaves them, `tag` is the new revision's."""

    no_traffic: bool = False
    tag: str | None = None

    def shares(self, service: "Service") -> "list[TrafficShare] | None":
        """Return the traffic to write with a deploy of `service`; None leaves it to the API."""
        from maxcloud import traffic

        if not (self.no_traffic or self.tag):
            return None
        shares = traffic.after_deploy(service.shares, service.newest_ready)
        if self.no_traffic:
            if service.ready_revision is None:
                said = f"no revision of {service.name} is ready, so none can keep the requests"
                raise typer.BadParameter(said, param_hint="--no-traffic")
            shares = traffic.pinned(service.shares, service.ready_revision)
        return traffic.arranged(shares, tags={self.tag: traffic.LATEST} if self.tag else {})


def checked_tag(tag: str | None) -> str | None:
    """Return the tag when it may be one; else it is a wrong use of --tag."""
    from maxcloud.names import why_not_a_tag

    if tag is not None and (wrong := why_not_a_tag(tag)):
        raise typer.BadParameter(wrong, param_hint="--tag")
    return tag


def percents(pairs: Sequence[str]) -> dict[str, int]:
    """Return the percentages by revision that `REVISION=PERCENT` pairs say."""
    found: dict[str, int] = {}
    for pair in pairs:
        revision, _, percent = pair.partition("=")
        percent = percent.removesuffix("%")
        if not revision or not percent.isascii() or not percent.isdecimal():
            raise typer.BadParameter(f"{pair!r} must be REVISION=PERCENT, such as latest=100")
        if revision in found:
            raise typer.BadParameter(f"{revision} is given twice")
        found[revision] = int(percent)
    if found and (total := sum(found.values())) != 100:  # noqa: PLR2004 - percent
        raise typer.BadParameter(f"the percentages must sum to 100, not {total}")
    return found


def tags(pairs: Sequence[str]) -> dict[str, str]:
    """Return the revisions by tag that `REVISION=TAG` pairs say."""
    found: dict[str, str] = {}
    for pair in pairs:
        revision, equals, tag = pair.partition("=")
        if not revision or not equals:
            raise typer.BadParameter(f"{pair!r} must be REVISION=TAG", param_hint="--tag")
        checked_tag(tag)
        if tag in found:
            raise typer.BadParameter(f"{tag} is given to two revisions", param_hint="--tag")
        found[tag] = revision
    return found

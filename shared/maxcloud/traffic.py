"""A service's traffic: shares of its revisions, as they go over the wire, and their rules. Pure.

A rollback is all traffic on an older revision; the next deploy takes it back. A split between
several is somebody's decision, and stays.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, RootModel

from maxcloud.bodies import Answer, Request
from maxcloud.fields import Percent, RevisionName, Tag

# What `revision` says for the newest revision that is ready.
LATEST = "latest"

TRAFFIC_SHARES_MAX = 20


class TrafficShare(Request):
    """A share of a service's requests for a revision, by its name or as `latest`.

    A tag gives that revision a URL of its own, with no need for a share.
    """

    revision: RevisionName
    percent: Percent
    tag: Tag | None = None


def _traffic(shares: list[TrafficShare]) -> list[TrafficShare]:
    if len(shares) > TRAFFIC_SHARES_MAX:
        raise ValueError(f"percent must be given to at most {TRAFFIC_SHARES_MAX} revisions")
    total = sum(share.percent for share in shares)
    if total != 100:  # noqa: PLR2004 - percent
        raise ValueError(f"percent must sum to 100, not {total}")
    tags = [share.tag for share in shares if share.tag]
    if len(set(tags)) < len(tags):
        raise ValueError("tag must not be given to two revisions")
    untagged = [share.revision for share in shares if not share.tag]
    if len(set(untagged)) < len(untagged):
        raise ValueError("revision must not be listed twice")
    return shares


Traffic = Annotated[
    list[TrafficShare],
    AfterValidator(_traffic),
    Field(json_schema_extra={"maxItems": TRAFFIC_SHARES_MAX}),
]


class TrafficRequest(RootModel[Traffic]):
    """Where all of a service's requests go; the shares sum to 100."""

    model_config = ConfigDict(defer_build=True)


class TrafficTarget(Answer):
    """A share of a service's requests; `revision` is a name or `latest`."""

    revision: str
    percent: int
    tag: str | None = None
    url: str | None = None


Shares = Sequence[TrafficShare]


def all_to(revision: str) -> list[TrafficShare]:
    """Return the traffic that one revision gets all of."""
    return [TrafficShare(revision=revision, percent=100)]


def tidied(shares: Shares) -> list[TrafficShare]:
    """Leave out the shares that mean nothing: no percent and no tag."""
    return [share for share in shares if share.percent or share.tag]


def is_split(shares: Shares) -> bool:
    """Tell whether several revisions share the traffic."""
    return sum(share.percent > 0 for share in shares) > 1


def after_deploy(shares: Shares, latest_ready: str | None) -> list[TrafficShare]:
    """Return the traffic that the next deploy makes of this one.

    What one revision had alone goes to the newest. A tag stays with its revision: one that was
    given to `latest` without a share is pinned to `latest_ready`, the newest revision where that
    is ready (pinned to one that is not, it would stop all traffic).
    """
    moved = list(shares)
    if not is_split(shares) and all(share.revision != LATEST for share in shares if share.percent):
        tagged = [share.model_copy(update={"percent": 0}) for share in shares if share.tag]
        moved = [*all_to(LATEST), *tagged]
    bare = [share for share in moved if share.revision == LATEST and not share.percent]
    return [_named(share, latest_ready) if share in bare else share for share in moved]


def pinned(shares: Shares, latest_ready: str) -> list[TrafficShare]:
    """Return the traffic as it is now, by names: a newer revision gets none of it."""
    return [_named(share, latest_ready) for share in shares]


def arranged(
    shares: Shares,
    percents: Mapping[str, int] | None = None,
    tags: Mapping[str, str] | None = None,
    untagged: Collection[str] = (),
) -> list[TrafficShare]:
    """Return the traffic with other percents, by revision, and other tags: revisions by tag.

    What is not said stays; the tags of `untagged` go.
    """
    if percents is None:
        revisions = dict.fromkeys(share.revision for share in shares)
        percents = {each: _sum(shares, {each}) for each in revisions}
    named = {share.tag: share.revision for share in shares if share.tag} | dict(tags or {})
    return [
        *(TrafficShare(revision=each, percent=part) for each, part in percents.items() if part),
        *(
            TrafficShare(revision=each, percent=0, tag=tag)
            for tag, each in named.items()
            if tag not in untagged
        ),
    ]


def percent_of(shares: Shares, revision: str, latest_ready: str | None) -> int:
    """Return a revision's part of the requests."""
    return _sum(shares, {revision, LATEST} if revision == latest_ready else {revision})


def serving(shares: Shares, latest_ready: str | None) -> str | None:
    """Return the revision that gets most of the requests, or None when none is ready."""
    most = max(shares, key=lambda share: share.percent).revision
    return latest_ready if most == LATEST else most


def needed(shares: Shares, latest_ready: str | None) -> set[str]:
    """Return the revisions that must be there for this traffic to flow."""
    return {_named(share, latest_ready).revision for share in shares} - {LATEST}


def follows_latest(shares: Shares) -> bool:
    """Tell whether a new revision gets some of the requests by itself, or a tag's URL."""
    return any(share.revision == LATEST for share in shares)


def _named(share: TrafficShare, latest_ready: str | None) -> TrafficShare:
    if share.revision != LATEST or latest_ready is None:
        return share
    return share.model_copy(update={"revision": latest_ready})


def _sum(shares: Shares, revisions: Collection[str]) -> int:
    return sum(share.percent for share in shares if share.revision in revisions)

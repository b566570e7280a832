"""Where a service's traffic goes: from `spec.traffic` to shares of revisions. Pure.

Source: knative.dev/serving, pkg/reconciler/route/traffic/traffic.go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from maxcloud_local.serving.conditions import YES, Said, State
from maxcloud_local.store import Object

# pkg/apis/serving/v1/route_defaults.go.
_EVERYTHING_TO_THE_LATEST: list[Object] = [{"latestRevision": True, "percent": 100}]


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the traffic a revision has; with a tag it has a host of its own as well."""

    revision: str
    percent: int
    tag: str | None
    is_latest: bool


def assign(
    ksvc: Object, latest_ready: str | None, states: Mapping[str, State], *, latest_failed: bool
) -> tuple[list[Share] | None, Said]:
    """Return the shares, or None when a target is missing, and what is said of the routes.

    `states` are those of the service's revisions. Without new shares the old ones go on.
    """
    shares: list[Share] = []
    trouble: list[Said] = []
    for target in ksvc["spec"].get("traffic") or _EVERYTHING_TO_THE_LATEST:
        pinned = target.get("revisionName")
        name = pinned or latest_ready
        if name is None:
            trouble.append(_no_latest(ksvc["metadata"]["name"], failed=latest_failed))
        elif name not in states:
            missing = f'Revision "{name}" referenced in traffic not found.'
            trouble.append(Said("False", "RevisionMissing", missing))
        elif not states[name].established:
            trouble.append(_not_ready(name, failed=states[name].failure is not None))
        else:
            share = Share(name, target.get("percent") or 0, target.get("tag"), not pinned)
            shares.append(share)
    if not trouble:
        return shares, YES
    # A failure comes before what only takes time.
    return None, min(trouble, key=lambda said: said.status == "Unknown")


def named(ksvc: Object) -> set[str]:
    """Return the revisions that the traffic names: they start, whatever became ready meanwhile."""
    targets = ksvc["spec"].get("traffic") or []
    return {target["revisionName"] for target in targets if target.get("revisionName")}


def written(shares: list[Share], url: Callable[[str], str]) -> list[Object]:
    """Return shares as they stand in a status; `url` returns the address of a tag."""
    return [
        {
            "latestRevision": share.is_latest,
            "percent": share.percent,
            "revisionName": share.revision,
            **({"tag": share.tag, "url": url(share.tag)} if share.tag else {}),
        }
        for share in shares
    ]


def _no_latest(service: str, *, failed: bool) -> Said:
    if failed:
        message = f'Configuration "{service}" does not have any ready Revision.'
        return Said("False", "RevisionMissing", message)
    message = f'Configuration "{service}" is waiting for a Revision to become ready.'
    return Said("Unknown", "RevisionMissing", message)


def _not_ready(name: str, *, failed: bool) -> Said:
    if failed:
        return Said("False", "RevisionMissing", f'Revision "{name}" failed to become ready.')
    return Said("Unknown", "RevisionMissing", f'Revision "{name}" is not yet ready.')

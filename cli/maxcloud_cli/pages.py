"""What is shown of services and revisions to a person."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from maxcloud_cli.output import field_list, table
from maxcloud_cli.progress import awaited, reached

if TYPE_CHECKING:
    from maxcloud.models import Revision, Service, ServiceEvent

EVENTS_SHOWN = 10


def services_table(services: "Sequence[Service]") -> str:
    """Return one line per service: NAME, IMAGE, STATUS, URL."""
    rows = [(each.name, each.image, status_text(each), each.url) for each in services]
    return table(("NAME", "IMAGE", "STATUS", "URL"), rows)


def service_page(
    service: "Service",
    revisions: "Sequence[Revision]",
    events: "Sequence[ServiceEvent]" = (),
    instances: Sequence[str] = (),
) -> str:
    """Return everything about one service: a field per line, then traffic, revisions, events."""
    env = [f"{key}={value}" for key, value in service.env_vars.items()]
    fields = {
        "Name": [service.name],
        "URL": [service.url],
        "Status": [status_text(service)],
        "Reason": [service.reason],
        "Message": service.message.splitlines(),
        "Conditions": _conditions(service),
        "Image": [service.image],
        "Port": [str(service.port) if service.port else "as the image says, else 8080"],
        "Command": [_words(service.command) or "the image's own"],
        "Args": [_words(service.args) or "the image's own"],
        "Environment": env or ["none"],
        "Instances now": list(instances),
        "Instances": [f"{service.min_scale} to {service.max_scale}"],
        "Concurrency": [_concurrency(service.concurrency)],
        "CPU": [service.cpu],
        "Memory": [service.memory],
        "Timeout": [f"{service.timeout_seconds} s per request"],
        "ID": [str(service.id)],
        "Organisation": [str(service.org_id)],
        "Generation": [f"{service.generation} (observed: {service.observed_generation})"],
        "Latest revision": [service.latest_revision or "none yet"],
        "Ready revision": [service.ready_revision or "none yet"],
        "Created": [f"{service.created_at:%Y-%m-%d %H:%M:%S %Z}"],
        "Updated": [f"{service.updated_at:%Y-%m-%d %H:%M:%S %Z}"],
    }
    parts = [field_list(fields), traffic_table(service)]
    if revisions:
        parts.append(revisions_table(revisions))
    if events:
        parts.append(events_table(events[:EVENTS_SHOWN]))
    return "\n\n".join(parts)


def status_text(service: "Service") -> str:
    """Return the status, with the revision that serves nevertheless where it is `failed`."""
    serves = still_serving(service)
    return f"failed (serving {serves})" if serves else str(service.status)


def still_serving(service: "Service") -> str | None:
    """Return the revision that serves though the newest write failed, if one does."""
    from maxcloud.traffic import serving

    return serving(service.shares, service.ready_revision) if service.status == "failed" else None


def about_traffic(service: "Service", tag: str | None) -> list[str]:
    """Return what a person should know of the traffic after a deploy."""
    from maxcloud.traffic import is_split

    lines = [f"{tag} is at {each.url}" for each in service.traffic if tag and each.tag == tag]
    now = ", ".join(f"{each.revision} {each.percent} %" for each in service.traffic if each.percent)
    if is_split(service.shares) or all(
        each.revision != "latest" for each in service.traffic if each.percent
    ):
        lines.append(f"the traffic stays as it is: {now}")
        lines.append(f"`maxcloud traffic {service.name} latest=100` sends all to the newest")
    return lines


def traffic_table(service: "Service") -> str:
    """Return one line per share: TRAFFIC TO, PERCENT, TAG, URL."""
    rows = [
        (each.revision, f"{each.percent} %", each.tag or "", each.url or "")
        for each in service.traffic
    ]
    return table(("TRAFFIC TO", "PERCENT", "TAG", "URL"), rows)


def revisions_table(revisions: "Sequence[Revision]") -> str:
    """Return one line per revision: REVISION, TRAFFIC, READY, IMAGE, DIGEST, CREATED, BY."""
    rows = [
        (
            each.name,
            f"{each.traffic} %",
            "yes" if each.ready_at else "no",
            each.image,
            each.digest[: len("sha256:") + 12],
            f"{each.created_at:%Y-%m-%d %H:%M}",
            each.created_by,
        )
        for each in revisions
    ]
    return table(("REVISION", "TRAFFIC", "READY", "IMAGE", "DIGEST", "CREATED", "BY"), rows)


def events_table(events: "Sequence[ServiceEvent]") -> str:
    """Return one line per event: EVENT, GENERATION, TIME, BY, MESSAGE."""
    rows = [
        (
            reached(each.status, each.reason),
            str(each.generation),
            f"{each.at:%Y-%m-%d %H:%M:%S}",
            each.by,
            each.message.partition("\n")[0],
        )
        for each in events
    ]
    return table(("EVENT", "GENERATION", "TIME", "BY", "MESSAGE"), rows)


def _conditions(service: "Service") -> list[str]:
    from maxcloud.traffic import serving

    newest, ready = service.latest_revision, service.ready_revision
    if service.observed_generation == service.generation:
        outcome = "failed" if service.status == "failed" else "is in place"
        said = [f"the last change (generation {service.generation}) {outcome}"]
    else:
        waits = f", waiting for {awaited(service)}" if awaited(service) else ""
        said = [f"the last change (generation {service.generation}) is on its way{waits}"]
    if newest is None:
        return [*said, "there is no revision yet"]
    said.append(f"the newest revision {newest} {'is ready' if newest == ready else 'is not ready'}")
    return [*said, f"{serving(service.shares, ready) or 'nothing'} serves most of the requests"]


def _words(words: list[str]) -> str:
    return json.dumps(words, ensure_ascii=False) if words else ""


def _concurrency(limit: int) -> str:
    return f"{limit} requests per instance at a time" if limit else "no limit"

"""How results look: tables for people, JSON and YAML for scripts."""

import json
import re
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maxcloud.models import Revision, Service


class Format(StrEnum):
    """What --output takes."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def result(text: str) -> None:
    """Print what was asked for, on stdout."""
    sys.stdout.write(text + "\n")


def remark(text: str) -> None:
    """Print what a person should know besides, on stderr."""
    sys.stderr.write(text + "\n")


def as_data(data: Any, form: Format) -> str:
    """Return plain data (a model's `model_dump(mode="json")`) as JSON or YAML."""
    if form is Format.JSON:
        return json.dumps(data, indent=2)
    import yaml  # only who asks for YAML waits for it

    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return text.rstrip("\n")


def services_table(services: "Sequence[Service]") -> str:
    """Return one line per service: NAME, IMAGE, STATUS, URL."""
    rows = [(each.name, each.image, status_text(each), each.url) for each in services]
    return table(("NAME", "IMAGE", "STATUS", "URL"), rows)


def service_page(service: "Service", revisions: "Sequence[Revision]") -> str:
    """Return everything about one service, a field per line, then its traffic and revisions."""
    env = [f"{key}={value}" for key, value in service.env_vars.items()]
    fields = {
        "Name": [service.name],
        "URL": [service.url],
        "Status": [status_text(service)],
        "Reason": [service.reason],
        "Message": service.message.splitlines(),
        "Image": [service.image],
        "Port": [str(service.port) if service.port else "as the image says, else 8080"],
        "Command": [_words(service.command) or "the image's own"],
        "Args": [_words(service.args) or "the image's own"],
        "Environment": env or ["none"],
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
    traffic = [
        (each.revision, f"{each.percent} %", each.tag or "", each.url or "")
        for each in service.traffic
    ]
    history = [
        (
            each.name,
            f"{each.traffic} %",
            each.image,
            each.digest[: len("sha256:") + 12],
            f"{each.created_at:%Y-%m-%d %H:%M}",
        )
        for each in revisions
    ]
    parts = [_field_list(fields)]
    if traffic:
        parts.append(table(("TRAFFIC", "PERCENT", "TAG", "URL"), traffic))
    if history:
        parts.append(table(("REVISION", "TRAFFIC", "IMAGE", "DIGEST", "CREATED"), history))
    return "\n\n".join(parts)


def status_text(service: "Service") -> str:
    """Return the status, with the revision that serves nevertheless where it is `failed`."""
    if service.status == "failed" and service.ready_revision:
        return f"failed (serving {service.ready_revision})"
    return str(service.status)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns as wide as their widest cell, two blanks apart, without trailing blanks."""
    lines = [head, *([harmless(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def harmless(line: str) -> str:
    """Return a line without control characters, so that a container's output drives no terminal."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", line)


def _field_list(fields: dict[str, list[str]]) -> str:
    """Return `Name:  value` lines; further lines of a value stand below its first."""
    width = max(map(len, fields)) + 3
    lines = []
    for name, values in fields.items():
        for number, value in enumerate(value for value in values if value):
            label = "" if number else f"{name}:"
            lines.append(f"{label:<{width}}{harmless(value)}")
    return "\n".join(lines)


def _words(words: list[str]) -> str:
    return json.dumps(words, ensure_ascii=False) if words else ""


def _concurrency(limit: int) -> str:
    return f"{limit} requests per instance at a time" if limit else "no limit"

"""How results look: tables for people, JSON and YAML for scripts."""

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


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


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns as wide as their widest cell, two blanks apart, without trailing blanks."""
    lines = [head, *([harmless(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def field_list(fields: Mapping[str, Sequence[str]]) -> str:
    """Return `Name:  value` lines; further lines of a value stand below its first."""
    width = max(map(len, fields)) + 3
    lines = []
    for name, values in fields.items():
        for number, value in enumerate(value for value in values if value):
            label = "" if number else f"{name}:"
            lines.append(f"{label:<{width}}{harmless(value)}")
    return "\n".join(lines)


def day(moment: "datetime | None") -> str:
    """Return a moment as a table shows it; nothing for none."""
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def size(count: int) -> str:
    """Return a number of bytes as people say it: 4 kB, 23.1 MB."""
    for unit, bytes in (("GB", 10**9), ("MB", 10**6)):
        if count >= bytes:
            return f"{count / bytes:.1f} {unit}"
    return f"{math.ceil(count / 1000)} kB"


def age(seconds: float) -> str:
    """Return how long ago something was, in its largest unit: 40s, 5m, 3h, 12d."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def harmless(line: str) -> str:
    """Return a line without control characters, so that a container's output drives no terminal."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", line)

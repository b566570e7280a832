"""docs/performance.md: what was measured last, each section with its date and machine."""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.figures import Table

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"

HEAD = """# Performance

Written by `make bench` and `make bench-cluster` (tests/bench); a section that was not measured
stays as it was. The contenders of a table took turns in the same run. Each shows the median of its
rounds, where the middle half of them lies, and the least; a ratio is the median of the rounds'
ratios. The machines are small and shared, so a ratio says more than a second.
"""

# The order of the page; what is not named here comes last.
ORDER = (
    "The command line",
    "Start of a function",
    "What the imports cost",
    "Memory of an instance",
    "Reading services",
    "Creating services",
    "The check of a key",
    "Pushing an image",
    "Many services on the engine",
    "Many rows",
    "At rest on the engine",
    "Deploying",
    "Cold and warm requests",
    "Following logs",
    "Many services on the cluster",
    "At rest on the cluster",
)


def machine() -> str:
    """Return the date, and what it is measured on."""
    processor = re.findall(r"model name\s*: (.*)", _read("/proc/cpuinfo")) or [platform.machine()]
    memory = re.search(r"MemTotal:\s*(\d+)", _read("/proc/meminfo"))
    parts = [
        f"{datetime.now(UTC):%Y-%m-%d}",
        f"{os.cpu_count()} processors ({processor[0]})",
        f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "",
        f"Python {platform.python_version()}",
        f"load {os.getloadavg()[0]:.1f}",
    ]
    return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class Section:
    """One thing that was measured: how, what came out, and on what."""

    title: str
    about: str
    tables: Sequence[Table]
    machine: str = field(default_factory=machine)

    def markdown(self) -> str:
        """Return the section as the page has it."""
        tables = [table.markdown() for table in self.tables]
        return "\n\n".join([f"## {self.title}", self.about, *tables, f"*{self.machine}*"])


def write(sections: Sequence[Section], page: Path = PAGE) -> None:
    """Put the sections into the page in place of those of the same title."""
    known = _sections(page.read_text(encoding="utf-8")) if page.exists() else {}
    known |= {section.title: section.markdown() for section in sections}
    places = {title: place for place, title in enumerate(ORDER)}
    ordered = sorted(known, key=lambda title: places.get(title, len(ORDER)))
    text = "\n\n".join([HEAD.rstrip(), *(known[title] for title in ordered)])
    page.write_text(text + "\n", encoding="utf-8")


def _sections(text: str) -> dict[str, str]:
    found = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0].removeprefix("## "): part.rstrip() for part in found}


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""

"""How the lines of a log look: for a terminal, for a pipe, for scripts."""

import os
import re
import sys
from typing import TYPE_CHECKING

from maxcloud_cli import output
from maxcloud_cli.output import Format
from maxcloud_cli.settings import Settings

if TYPE_CHECKING:
    from maxcloud.following import Interruption
    from maxcloud.instances import Instance, LogEntry

# Cyan, yellow, green, magenta, blue, and their bright ones: what is read on light and dark.
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)

# Colours that a program gives its lines; everything else that drives a terminal is made visible.
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")

_SAID = {"starting": "starts", "ready": "is ready", "stopping": "stops", "gone": "is gone"}


class Entries:
    """Prints lines on stdout, and on stderr what happens besides.

    `shown` counts the lines, `instances` those that there are.
    """

    def __init__(self, settings: Settings, *, is_followed: bool) -> None:
        self.shown = 0
        self._format, self._quiet, self._is_followed = settings.output, settings.quiet, is_followed
        self._is_terminal = sys.stdout.isatty()
        self._is_coloured = self._is_terminal and _wants_colours()
        self._is_told = is_followed and sys.stderr.isatty() and not settings.quiet
        self._colours: dict[str, int] = {}
        self._there: set[str] = set()
        self._is_interrupted = False

    @property
    def instances(self) -> int:
        """How many instances there are."""
        return len(self._there)

    def show(self, entry: "LogEntry") -> None:
        """Print a line."""
        self.shown += 1
        self._is_interrupted = False
        if self._format is Format.JSON:
            output.result(entry.model_dump_json())
        elif self._format is Format.YAML:
            output.result(output.as_data([entry.model_dump(mode="json")], self._format))
        else:
            output.result(self._line(entry))
        if self._is_followed:
            sys.stdout.flush()

    def tell(self, instance: "Instance") -> None:
        """Say that an instance is there, or has changed."""
        self._is_interrupted = False
        if instance.state == "gone":
            self._there.discard(instance.name)
        else:
            self._there.add(instance.name)
        if self._is_told:
            said = _SAID.get(instance.state, instance.state)
            self.remark(f"{_short(instance.name)} of {instance.revision} {said}")

    def interrupted(self, interruption: "Interruption") -> None:
        """Say once that the connection was lost."""
        if not self._is_interrupted:
            self.remark(f"{interruption.error}; trying again")
        self._is_interrupted = True

    def remark(self, text: str) -> None:
        """Say something besides, unless it is to be quiet."""
        if not self._quiet:
            output.remark(output.harmless(text))

    def _line(self, entry: "LogEntry") -> str:
        message = entry.message
        if self._is_terminal:
            message = output.harmless(_COLOUR.sub("", message.rstrip("\r")))
        if self._quiet:
            return message
        prefix = f"{_short(entry.instance)} |"
        if self._is_coloured:
            colour = self._colours.setdefault(
                entry.instance, _COLOURS[len(self._colours) % len(_COLOURS)]
            )
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        return f"{prefix} {message}"


def _short(instance: str) -> str:
    """Return what tells an instance from the others of its revision."""
    return output.harmless(instance.rpartition("-")[2])


def _wants_colours() -> bool:
    # https://no-color.org
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

"""What happens in the engine, for whoever watches: the live view, or nobody."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the live view: `services` · `wakes` · `0 → 1`."""

    subject: str
    what: str
    detail: str = ""


Tell = Callable[[Happening], None]

"""How long each fault took to be made good, for people to read."""

from collections.abc import Callable

Report = Callable[[str, float], None]

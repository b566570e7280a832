"""How a push is shown: a line for each layer that is done, and how far the others are."""

import threading
import time
from typing import TYPE_CHECKING

from maxcloud_cli.output import size
from maxcloud_cli.progress import Progress, Step

if TYPE_CHECKING:
    from maxcloud.pushing.push import Happening

# Between two states of the live line.
_PAUSE = 0.1
_SHOWN = len("sha256:") + 12


class Layers:
    """Takes what happens to the layers, from any thread."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._going_on: dict[str, Happening] = {}
        self._lock = threading.Lock()
        self._next = 0.0

    def tell(self, happening: "Happening") -> None:
        """Take one happening."""
        with self._lock:
            if happening.ends:
                self._going_on.pop(happening.layer, None)
                text = f"layer {happening.layer[len('sha256:') : _SHOWN]}"
                self._show([Step(text, f"{happening.what}, {size(happening.size)}")])
            else:
                self._going_on[happening.layer] = happening
                if time.monotonic() >= self._next:
                    self._show([])

    def _show(self, steps: list[Step]) -> None:
        self._next = time.monotonic() + _PAUSE
        phases = []
        for what in dict.fromkeys(each.what for each in self._going_on.values()):
            now = [each for each in self._going_on.values() if each.what == what]
            done, all = (sum(getattr(each, field) for each in now) for field in ("done", "size"))
            phases.append(f"{what} {size(done)} of {size(all)}")
        self._progress.show(steps, going_on=", ".join(phases))

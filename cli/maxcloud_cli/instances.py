"""Looking for a service's instances while something else is asked: nobody waits long for them."""

import queue
import threading
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from maxcloud_cli.settings import Settings

if TYPE_CHECKING:
    from maxcloud.instances import Instance

# How long to wait when everything else is there. The function may have to start for it.
WAIT_SECONDS = 1.5


class Look:
    """A look at the instances of now, begun at once."""

    def __init__(self, settings: Settings, service: str) -> None:
        self._found: queue.SimpleQueue[list[Instance] | None] = queue.SimpleQueue()
        # A daemon: the command's end does not wait for it.
        threading.Thread(target=self._look, args=(settings, service), daemon=True).start()

    def result(self) -> "list[Instance] | None":
        """Return the instances; None when nobody said anything about them in time."""
        try:
            return self._found.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            return None

    def _look(self, settings: Settings, service: str) -> None:
        from maxcloud.errors import MaxCloudError

        try:
            with settings.client() as client:
                self._found.put(client.instances(service))
        except MaxCloudError:
            self._found.put(None)


def in_words(found: "Sequence[Instance] | None") -> list[str]:
    """Return a line for each revision that has instances."""
    if found is None:
        return ["unknown: the logs did not answer"]
    counts = Counter((each.revision, str(each.state)) for each in found)
    lines: dict[str, list[str]] = {}
    for (revision, state), count in sorted(counts.items()):
        lines.setdefault(revision, []).append(f"{count} {state}")
    words = [f"{', '.join(states)} ({revision})" for revision, states in lines.items()]
    return words or ["none; the next request starts one"]

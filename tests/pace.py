"""Something that is done at a steady pace while something else happens."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

# Ends what nobody ends.
SECONDS_MAX = 420


@dataclass
class Pace:
    """For how long it was kept."""

    seconds: float = 0.0


@contextmanager
def at_pace(do: Callable[[], None], per_second: int, at_once: int) -> Iterator[Pace]:
    """Do something at a steady pace while the block runs, however long each time takes.

    No more than `at_once` go on together; the others wait for their turn.
    """
    pace, over = Pace(), threading.Event()

    def go_on() -> None:
        start = time.monotonic()
        while not over.wait(1 / per_second) and pace.seconds < SECONDS_MAX:
            pace.seconds = time.monotonic() - start
            pool.submit(do)

    with ThreadPoolExecutor(at_once) as pool:
        going = threading.Thread(target=go_on)
        going.start()
        try:
            yield pace
        finally:
            over.set()
            going.join()
    assert pace.seconds < SECONDS_MAX

"""A TCP proxy that cuts the connection when so many bytes of a client have passed."""

import threading
from collections.abc import Callable, Sequence

from tests.relay import Relay, to


class Cutter(Relay):
    """`cuts` are numbers of bytes, counted over all connections; each cuts all that are open.

    `at_cut` is called before the connections that were cut are answered again.
    """

    def __init__(
        self, port: int, cuts: Sequence[int], at_cut: Callable[[], object] = lambda: None
    ) -> None:
        self.made = 0
        self._cuts, self._at_cut = sorted(cuts), at_cut
        self._passed, self._counting = 0, threading.Lock()
        super().__init__(to(port))

    def sent(self, count: int) -> None:
        if self._is_time(count):
            self.cut()
            self._at_cut()

    def _is_time(self, count: int) -> bool:
        with self._counting:
            self._passed += count
            if self._cuts and self._passed >= self._cuts[0]:
                self._cuts.pop(0)
                self.made += 1
                return True
            return False

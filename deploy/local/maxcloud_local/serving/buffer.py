"""What stands in front of a revision's instances: who goes in where, and who waits for a turn."""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from maxcloud.errors import MaxCloudError
from maxcloud_local.instances.instances import Instance

# pkg/activator/net/throttler.go: breakerQueueDepth.
WAITING_MOST = 10_000

# How long one that starts keeps others from starting; what hangs must not hold up the rest.
TURN_SECONDS = 10

_log = logging.getLogger(__name__)


class NoInstance(MaxCloudError):
    """No instance takes the request; the message is one sentence that says why."""


@dataclass(eq=False)
class Seat:
    """An instance, and how many requests are inside.

    `settled` once the next one may start, `left` once it is out of the routing, `empty` once
    nothing inside is waited for any more.
    """

    instance: Instance = field(init=False)
    inside: int = 0
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    async def live(self, starts: asyncio.Semaphore, patience: float) -> None:
        """Start the instance in its turn; end it once it has left and its requests have ended.

        These are waited for `patience` seconds.
        """
        try:
            async with starts:
                if not self.left.is_set():
                    self.instance.start()
                with suppress(TimeoutError):
                    async with asyncio.timeout(TURN_SECONDS):
                        await self.settled.wait()
            await self.left.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self.empty.wait()
            await self.instance.stop()
        except Exception:
            _log.exception("an instance was lost")


class Buffer:
    """The instances that are in the routing, and the requests that wait: first come, first served.

    An instance takes `concurrency` requests at once, with 0 any number.
    """

    def __init__(self, concurrency: int) -> None:
        self.seats: list[Seat] = []
        self._concurrency = concurrency
        self._turns: deque[asyncio.Future[Seat]] = deque()

    @property
    def waiting(self) -> int:
        """Return how many requests wait."""
        return len(self._turns)

    @property
    def ready(self) -> int:
        """Return how many instances take requests."""
        return sum(seat.instance.ready for seat in self.seats)

    def has_given_up(self) -> bool:
        """Tell whether there are instances and none of them can start."""
        return bool(self.seats) and all(
            seat.instance.gave_up and not seat.instance.ready for seat in self.seats
        )

    def enter(self) -> Seat | None:
        """Put a request into the emptiest instance, unless none has room or others wait."""
        seat = None if self._turns else self._emptiest()
        if seat is not None:
            seat.inside += 1
        return seat

    def queue(self) -> asyncio.Future[Seat]:
        """Let a request wait; it must then call `wait`. Raises NoInstance when too many do."""
        if len(self._turns) >= WAITING_MOST:
            raise NoInstance(f"{WAITING_MOST} requests wait already")
        turn: asyncio.Future[Seat] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        return turn

    async def wait(self, turn: asyncio.Future[Seat]) -> Seat:
        """Return the instance that a waiting request is now in; raises what `refuse` was given."""
        try:
            return await turn
        except asyncio.CancelledError:
            # Whoever waited has gone away, perhaps after its turn came.
            if turn in self._turns:
                self._turns.remove(turn)
            elif not turn.cancelled() and turn.exception() is None:
                self.leave(turn.result())
            raise

    def leave(self, seat: Seat) -> None:
        """Take a request out of an instance, and let the next one in."""
        seat.inside -= 1
        if seat.left.is_set() and not seat.inside:
            seat.empty.set()
        self.hand_out()

    def hand_out(self) -> None:
        """Let in who waits, as far as there is room."""
        while self._turns and (seat := self._emptiest()):
            turn = self._turns.popleft()
            if not turn.done():
                seat.inside += 1
                turn.set_result(seat)

    def refuse(self, reason: str) -> None:
        """Send away who waits."""
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_exception(NoInstance(reason))

    def dismiss(self, seat: Seat) -> None:
        """Take an instance out of the routing; it is `empty` once no request is inside."""
        self.seats.remove(seat)
        seat.left.set()
        seat.settled.set()
        if not seat.inside:
            seat.empty.set()

    def _emptiest(self) -> Seat | None:
        most = self._concurrency
        best: Seat | None = None
        for seat in self.seats:
            has_room = seat.instance.ready and (not most or seat.inside < most)
            if has_room and (best is None or seat.inside < best.inside):
                best = seat
        return best

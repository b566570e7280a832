"""One revision: its instances, and how many there should be.

What Knative does in its activator (pkg/activator/net), its autoscaler, and the Deployment below
them. One thing is different: when no instance can start, the requests that wait for it are
refused with the reason, where Knative lets them wait until their timeout.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from maxcloud_local.happenings import Happening, Tell
from maxcloud_local.instances.instances import Instance, Launcher, timeout_of
from maxcloud_local.instances.running import Failure
from maxcloud_local.kinds import SERVICE_LABEL
from maxcloud_local.serving.buffer import Buffer, NoInstance, Seat
from maxcloud_local.serving.conditions import NEVER_READY, State
from maxcloud_local.serving.scaling import Autoscaler, Gauge, rule_of
from maxcloud_local.store import Object

# How often the autoscaler decides while there is something to decide; Knative's takes two seconds.
TICK_SECONDS = 0.5

_log = logging.getLogger(__name__)


class Revision:
    """The instances of one revision, and the requests that wait for them.

    Nothing is started before it is needed or a request asks for room. `starts` limits how many
    instances of the whole engine start at once, `first` is how many show that it starts where it
    does not say so itself, `window` returns the stable window in seconds, `on_change` is called
    when `state` may have changed.
    """

    def __init__(
        self,
        made: Object,
        launcher: Launcher,
        starts: asyncio.Semaphore,
        *,
        first: int = 1,
        window: Callable[[], float],
        tell: Tell,
        on_change: Callable[[], None],
    ) -> None:
        metadata, spec = made["metadata"], made["spec"]
        self.name: str = metadata["name"]
        self.namespace: str = metadata["namespace"]
        self.service: str = metadata["labels"][SERVICE_LABEL]
        self.timeout_seconds = timeout_of(spec)
        self._made = made
        self._launcher, self._starts, self._window = launcher, starts, window
        self._tell, self._on_change = tell, on_change
        self._rule = rule_of(spec, metadata.get("annotations") or {}, first)
        self._buffer = Buffer(self._rule.concurrency)
        self._autoscaler = Autoscaler(self._rule)
        self._gauge = Gauge(time.monotonic())
        # Those in the buffer, and those that have left but not ended yet.
        self._living: set[Seat] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        # Since when there are instances of which none is ready.
        self._unready_since: float | None = None
        self._failure: Failure | None = None
        self._is_needed = self._is_abandoned = self._has_ended = False
        self._is_established = self._rule.first == 0

    @property
    def state(self) -> State:
        """Return how it stands now."""
        number = len(self._buffer.seats)
        return State(number, self._buffer.ready, self._is_established, self._failure)

    def need(self, needed: bool) -> None:
        """Say whether traffic leads here, or will once this is ready.

        Only then it has its least number of instances, and those that show that it starts.
        """
        if needed != self._is_needed:
            self._is_needed = needed
            self._decide()

    @asynccontextmanager
    async def room(self) -> AsyncIterator[Instance]:
        """Wait until an instance has room, and count a request as inside it.

        Raises NoInstance when none can start, or too many wait.
        """
        seat = self._enter() or await self._wait()
        try:
            if self._watch is None:
                self._decide()
            yield seat.instance
        finally:
            self._gauge.add(-1, time.monotonic())
            self._buffer.leave(seat)

    async def end(self, *, drain: bool = True) -> None:
        """End every instance; with `drain` after the requests inside. Who waits is refused."""
        self._has_ended = True
        self._buffer.refuse(f"{self.service} is going away")
        if self._watch is not None:
            self._watch.cancel()
        for seat in list(self._buffer.seats):
            self._buffer.dismiss(seat)
        if not drain:
            for seat in self._living:
                seat.empty.set()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _enter(self) -> Seat | None:
        seat = self._buffer.enter()
        if seat is not None:
            self._gauge.add(1, time.monotonic())
        return seat

    async def _wait(self) -> Seat:
        if self._has_ended:
            raise NoInstance(f"{self.service} is going away")
        if self._buffer.has_given_up():
            raise NoInstance(self._reason())
        turn = self._buffer.queue()
        self._gauge.add(1, time.monotonic())
        try:
            if self._needs_more_at_once():
                self._decide()
            return await self._buffer.wait(turn)
        except BaseException:
            self._gauge.add(-1, time.monotonic())
            raise

    def _needs_more_at_once(self) -> bool:
        number, most = len(self._buffer.seats), self._rule.most
        return number == 0 or (
            not (most and number >= most)
            and self._buffer.waiting > number * self._rule.target
            and not self._buffer.ready
        )

    def _reason(self) -> str:
        # Not what the container wrote: this sentence goes to whoever asked.
        reason = self._failure.reason if self._failure else "Unknown"
        return f"no instance of {self.name} can start ({reason})"

    def _least(self) -> int:
        if not self._is_needed or self._is_abandoned:
            return 0
        return self._rule.least if self._is_established else self._rule.first

    def _decide(self) -> None:
        """Start or end instances, and keep watch while there is anything to decide."""
        if self._has_ended:
            return
        try:
            self._scale()
        except Exception:
            # The watch tries again; whoever waits goes on waiting.
            _log.exception("%s could not be scaled", self.name)
        if self._watch is None and not self._is_at_rest():
            self._watch = self._do(self._keep_watch())

    def _scale(self) -> None:
        seats, now = self._buffer.seats, time.monotonic()
        had = len(seats)
        wanted = self._autoscaler.wanted(
            now,
            window=self._rule.window or self._window(),
            ready=self._buffer.ready,
            waiting=self._buffer.waiting,
            least=self._least(),
        )
        if self._unready_since and now > self._unready_since + self._rule.deadline:
            self._give_up()
            wanted = 0
        while len(seats) < wanted:
            self._take_on()
        # The idle first, and of them those that are not ready yet.
        for seat in sorted(seats, key=lambda seat: (seat.inside, seat.instance.ready)):
            if len(seats) > wanted:
                self._buffer.dismiss(seat)
        self._note_readiness()
        if wanted != had:
            what = "sleeps" if not wanted else "scales" if had else "wakes"
            self._tell(Happening(self.service, what, f"{had} → {wanted}"))
            self._on_change()

    def _give_up(self) -> None:
        self._is_abandoned = not self._is_established
        if not self._buffer.has_given_up():
            self._failure = NEVER_READY
        self._buffer.refuse(self._reason())
        # The next request tries again, not those that are being refused.
        asyncio.get_running_loop().call_soon(self._forget)

    def _forget(self) -> None:
        self._gauge.read(time.monotonic())
        self._autoscaler.forget()

    def _take_on(self) -> None:
        seat = Seat()
        seat.instance = self._launcher.instance(self._made, lambda: self._changed(seat))
        self._buffer.seats.append(seat)
        self._living.add(seat)
        life = self._do(seat.live(self._starts, self.timeout_seconds))
        life.add_done_callback(lambda _: self._living.discard(seat))

    def _changed(self, seat: Seat) -> None:
        if seat.left.is_set():
            return
        instance = seat.instance
        if instance.leaving:
            # Somebody deleted its pod; another takes its place.
            self._buffer.dismiss(seat)
            self._decide()
            return
        if instance.ready or instance.failure:
            seat.settled.set()
        self._note_readiness()
        if ready := self._buffer.ready:
            self._failure = None
            self._is_established = self._is_established or ready >= self._rule.first
            self._buffer.hand_out()
        elif self._buffer.has_given_up():
            self._failure = instance.failure or self._failure
            self._buffer.refuse(self._reason())
        if self._watch is None:
            self._decide()
        self._on_change()

    def _note_readiness(self) -> None:
        now = time.monotonic()
        if not self._buffer.seats:
            self._unready_since = None
        elif not self._buffer.ready:
            self._unready_since = self._unready_since or now
        elif self._unready_since is not None:
            self._unready_since = None
            self._autoscaler.activated(now)

    def _is_at_rest(self) -> bool:
        return (
            not self._gauge.count
            and len(self._buffer.seats) == self._least()
            and self._unready_since is None
            and self._autoscaler.is_quiet()
        )

    async def _keep_watch(self) -> None:
        self._gauge.read(time.monotonic())
        try:
            while not self._is_at_rest():
                await asyncio.sleep(TICK_SECONDS)
                now = time.monotonic()
                self._autoscaler.observe(now, self._gauge.read(now))
                self._decide()
        finally:
            self._watch = None

    def _do(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

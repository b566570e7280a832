"""Running the local engine in a terminal: its steps, then a line for what wakes and sleeps."""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable

from maxcloud import __version__
from maxcloud_cli import output
from maxcloud_cli.progress import Progress, Step
from maxcloud_local import engine
from maxcloud_local.happenings import Happening

# Called in a thread once the engine runs; what it is given tells whether a service is found.
Welcome = Callable[[Callable[[str], bool]], None]


def run(settings: engine.Settings, welcome: Welcome) -> None:
    """Run the engine until Ctrl-C.

    Raises what `welcome` raises, and MaxCloudError when the engine cannot start.
    """
    asyncio.run(_run(settings, welcome))


async def _run(settings: engine.Settings, welcome: Welcome) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _settle, ended, None)
    lines = Lines()
    title = f"max-cloud {__version__} at http://localhost:{settings.port}, data in {settings.data}"
    with Progress(title) as progress:
        async with engine.running(settings, lines.tell) as is_found:
            progress.show([Step("started")])

            def greet() -> None:
                try:
                    welcome(is_found)
                except Exception as error:
                    loop.call_soon_threadsafe(_settle, ended, error)
                else:
                    loop.call_soon_threadsafe(lines.begin)

            # Not asyncio's own threads: they would be waited for when Ctrl-C comes meanwhile.
            threading.Thread(target=greet, daemon=True).start()
            try:
                await ended
            finally:
                lines.end()
                began = time.monotonic()
        output.remark(f"everything has ended ({time.monotonic() - began:.1f} s)")


def _settle(future: "asyncio.Future[None]", error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


class Lines:
    """Prints what happens, a line each; what happens before `begin` is printed then."""

    def __init__(self) -> None:
        self._waiting: list[str] | None = []
        self._ended = False
        self._bold, self._plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")

    def tell(self, happening: Happening) -> None:
        """Take one happening."""
        subject = f"{self._bold}{output.harmless(happening.subject):<16}{self._plain}"
        detail = output.harmless(happening.detail)
        line = f"{time.strftime('%H:%M:%S')}  {subject}  {happening.what:<7}  {detail}".rstrip()
        if self._waiting is not None:
            self._waiting.append(line)
        elif not self._ended:
            output.result(line)
            sys.stdout.flush()

    def begin(self) -> None:
        """Print what has happened so far, and from now on at once."""
        for line in self._waiting or []:
            output.result(line)
        self._waiting = None
        sys.stdout.flush()

    def end(self) -> None:
        """Print no more: what ends now ends because everything does."""
        self._ended = True
        self._waiting = None

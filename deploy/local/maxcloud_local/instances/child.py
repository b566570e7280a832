"""A child process with all that it starts; its output goes into a log, line by line."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from maxcloud_local.logs import Log

# A longer line is cut into pieces.
LINE_BYTES_MAX = 64 * 1024

# How long the last output may take after the end: a process that left the group could hold it open.
LAST_OUTPUT_SECONDS = 1

_STREAMS = {1: "stdout", 2: "stderr"}


class Child(asyncio.SubprocessProtocol):
    """The first of a process group of its own, so that Ctrl-C in a terminal does not reach it."""

    _transport: asyncio.SubprocessTransport
    _group: int

    def __init__(self, log: Log) -> None:
        self._log = log
        self._buffers = {fd: bytearray() for fd in _STREAMS}
        self._exited, self._silent = asyncio.Event(), asyncio.Event()

    @classmethod
    async def start(
        cls, command: Sequence[str], env: Mapping[str, str], log: Log, *, lifeline: bool = False
    ) -> "Child":
        """Start a command with this environment and nothing else.

        With `lifeline` its stdin stays open for as long as this process lives. Raises OSError.
        """
        transport, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(log),
            *command,
            stdin=subprocess.PIPE if lifeline else subprocess.DEVNULL,
            env=env,
            cwd="/",
            start_new_session=True,
        )
        child._transport = transport
        child._group = transport.get_pid()
        return child

    async def ended(self) -> int:
        """Wait for the end; return the exit code as a shell has it, 128 + N for signal N."""
        await self._exited.wait()
        self.signal(signal.SIGKILL)  # whatever it left behind
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_OUTPUT_SECONDS):
                await self._silent.wait()
        self._transport.close()
        code = self._transport.get_returncode() or 0
        return 128 - code if code < 0 else code

    async def stop(self, grace: float) -> None:
        """End the whole group: SIGTERM, and SIGKILL after `grace` seconds."""
        try:
            self.signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._exited.wait()
        finally:
            self.signal(signal.SIGKILL)
        await self.ended()

    def signal(self, number: int) -> None:
        """Send a signal to the group; one that is gone is left alone."""
        # macOS refuses where only a zombie is left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take output."""
        buffer = self._buffers[fd]
        buffer += data
        if b"\n" in data:
            *lines, rest = buffer.split(b"\n")
            for line in lines:
                self._write(fd, line)
            self._buffers[fd] = buffer = rest
        if len(buffer) >= LINE_BYTES_MAX:
            self._write(fd, buffer)
            buffer.clear()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Take a last line without an end."""
        if buffer := self._buffers.pop(fd, None):
            self._write(fd, buffer)

    def process_exited(self) -> None:
        """Hear of the end."""
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that the output has ended too."""
        self._silent.set()

    def _write(self, fd: int, line: bytearray) -> None:
        for start in range(0, len(line) or 1, LINE_BYTES_MAX):
            piece = line[start : start + LINE_BYTES_MAX]
            self._log.write(_STREAMS[fd], piece.decode(errors="replace"))

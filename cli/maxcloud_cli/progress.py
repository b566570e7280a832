"""How far a service has come, and the timed lines on stderr that show it."""

import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from maxcloud.models import Service

# The reasons a pending service walks through, each with what it has reached and what comes next.
_WALK = (
    ("Accepted", "accepted", "the image"),
    ("ImageResolved", "image resolved", "the revision"),
    ("RevisionCreated", "revision created", "the first instance"),
    ("InstanceStarted", "first instance started", "the URL"),
    ("", "ready", ""),
)
_REASONS = [reason for reason, _, _ in _WALK]
_OF_A_NEW_REVISION = ("revision created", "first instance started")
_DIGEST = re.compile(r"sha256:[0-9a-f]{12}")


@dataclass(frozen=True)
class Step:
    """Something that was reached; `failed` is the one that ends a deploy badly."""

    text: str
    detail: str = ""
    failed: bool = False


def steps_reached(service: "Service", revision_before: str | None = None) -> list[Step]:
    """Return the steps behind a service, given the newest revision from before the write.

    An unchanged deploy makes no revision, and then none of a revision's steps are claimed. A
    failed one says where it ended; what it passed on the way was shown while it was pending.
    """
    if service.status == "failed":
        return [Step("accepted"), Step("failed", service.reason, failed=True)]
    passed = [text for _, text, _ in _WALK[: _rank(service) + 1]]
    if revision_before and service.latest_revision == revision_before:
        passed = [text for text in passed if text not in _OF_A_NEW_REVISION]
    return [Step(text, _detail(text, service)) for text in passed]


def awaited(service: "Service") -> str:
    """Return what a pending service waits for next; nothing when it is not pending."""
    return _WALK[_rank(service)][2] if service.status == "pending" else ""


def reached(status: str, reason: str) -> str:
    """Return in words where a service stood when it had this status and reason."""
    if status == "pending":
        return next((text for known, text, _ in _WALK if known == reason), reason)
    return f"failed: {reason}" if status == "failed" else status


def _rank(service: "Service") -> int:
    if service.status == "ready":
        return len(_WALK) - 1
    # A reason from a newer API, or none: what is known is that the row is written.
    return _REASONS.index(service.reason) if service.reason in _REASONS[:-1] else 0


def _detail(text: str, service: "Service") -> str:
    if text == "revision created":
        return service.latest_revision or ""
    # Only while this is the step, the message is about the digest.
    if text == "image resolved" and (digest := _DIGEST.search(service.message)):
        return digest[0]
    return ""


class Progress:
    """Prints each step once with the seconds since the start.

    On a terminal a last line says what is waited for. `quiet` prints nothing.
    """

    def __init__(self, title: str, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        can_wipe = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._live = can_wipe and not quiet
        self._unicode = "utf" in (self._stream.encoding or "").lower()
        self._shown: set[str] = set()
        self._start = time.monotonic()
        self._line(title)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._wipe()

    def show(self, steps: Sequence[Step], waiting_for: str = "", *, going_on: str = "") -> None:
        """Print the steps that are new, all at the present time, and what is awaited now.

        `going_on` is shown in its place where there is more to say than that.
        """
        seconds = time.monotonic() - self._start
        self._wipe()
        for step in steps:
            if step.text not in self._shown:
                self._shown.add(step.text)
                self._line(self._step(step, seconds))
        now = going_on or (waiting_for and f"waiting for {waiting_for}")
        if self._live and now:
            dots = "…" if self._unicode else "..."
            self._stream.write(f"  {dots} {now} ({seconds:.0f} s)")
            self._stream.flush()

    def _step(self, step: Step, seconds: float) -> str:
        mark = ("✗" if step.failed else "✓") if self._unicode else ("x" if step.failed else "+")
        return f"  {mark} {step.text:<22} {seconds:5.1f} s  {step.detail}".rstrip()

    def _line(self, text: str) -> None:
        if not self._quiet:
            self._stream.write(text + "\n")
            self._stream.flush()

    def _wipe(self) -> None:
        if self._live:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()

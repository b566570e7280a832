"""`maxcloud delete` as a process, against a scripted API."""

import contextlib
import os
import pty
import signal
import subprocess

import pytest

from tests.cli.conftest import MAXCLOUD, Maxcloud, without_times
from tests.cli.scripted import BY_ID, BY_NAME, GONE, Answer, ScriptedAPI, service


def test_delete_waits_until_the_service_is_gone(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", BY_NAME, Answer(200, service()))
    scripted.script("DELETE", BY_ID, Answer(204))
    scripted.script("GET", BY_ID, Answer(200, service(status="deleting")), GONE)
    done = maxcloud("delete", "shop", "--yes")
    assert (done.code, done.out) == (0, "deleted shop\n")
    assert without_times(done.err) == ["Deleting shop", "✓ accepted N s", "✓ gone N s"]
    assert scripted.times_asked("GET", BY_ID) == 2


def test_delete_without_waiting_and_with_too_little(
    scripted: ScriptedAPI, maxcloud: Maxcloud
) -> None:
    scripted.script("GET", BY_NAME, Answer(200, service()))
    scripted.script("DELETE", BY_ID, Answer(204))
    scripted.script("GET", BY_ID, Answer(200, service(status="deleting")))
    done = maxcloud("delete", "shop", "--yes", "--no-wait")
    assert (done.code, done.out) == (0, "deleting shop\n")
    late = maxcloud("delete", "shop", "--yes", "--wait-timeout", "0")
    assert (late.code, late.out) == (3, "")
    assert "the deletion of shop goes on" in late.err


def interrupt(process: "subprocess.Popen[bytes]") -> None:
    """Press Ctrl-C, and again where it was too early.

    CPython's input() does not see a signal that comes after its prompt and before its read.
    """
    for _ in range(6):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
            return


@pytest.mark.parametrize(
    ("reply", "code", "deleted"), [("y\n", 0, 1), ("\n", 1, 0), (signal.SIGINT, 130, 0)]
)
def test_delete_asks_on_a_terminal(
    scripted: ScriptedAPI, maxcloud: Maxcloud, reply: str | signal.Signals, code: int, deleted: int
) -> None:
    scripted.script("GET", BY_NAME, Answer(200, service()))
    scripted.script("DELETE", BY_ID, Answer(204))
    scripted.script("GET", BY_ID, GONE)
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [MAXCLOUD, "delete", "shop"],
            env=maxcloud.env,
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        os.close(theirs)
        seen = b""
        while b"[y/N]:" not in seen:
            seen += os.read(ours, 1024)
        assert b"Delete shop (http://shop.localhost:8080)" in seen
        if isinstance(reply, str):
            os.write(ours, reply.encode())
        else:
            interrupt(process)
        assert process.wait(timeout=30) == code
    finally:
        os.close(ours)
    assert scripted.times_asked("DELETE", BY_ID) == deleted

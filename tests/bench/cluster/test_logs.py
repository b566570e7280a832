"""How fast one follower gets the lines of a container that writes them as fast as it can."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from tests.bench.cluster.ksvc import KUBECTL
from tests.bench.figures import compared, take_turns
from tests.bench.report import Section
from tests.journeys.platform import MAXCLOUD, Platform

ROUNDS, LINES = 7, 20_000
NAME = "bench-logs"

OURS, STREAM, THEIRS = "`maxcloud logs --follow`", "`curl`, the events", "`kubectl logs --follow`"

ABOUT = f"""\
Lines a second that one follower gets of {LINES:,} lines (85 bytes each) that a container writes at
once: from the request that makes it write until the last line has come out of the command. *curl*
takes the same events as `maxcloud logs` without reading them."""


def test_logs(platform: Platform, image: str, show: Callable[[Section], None]) -> None:
    platform.maxcloud("deploy", image, "--name", NAME, "--min", "1")
    try:
        selected = ["-n", "default", "-l", f"serving.knative.dev/service={NAME}"]
        id = platform.api("GET", f"/api/v1/services/{NAME}").json()["id"]
        url = f"{platform.backend.api_url}/api/v1/logs/{id}?follow=true&tail=1"
        maxcloud = [str(MAXCLOUD), "--api-url", platform.backend.api_url]
        followers = {
            OURS: [*maxcloud, "logs", NAME, "--follow", "--tail", "1"],
            STREAM: ["curl", "--no-buffer", "--silent", "-H", "Accept: text/event-stream", url],
            THEIRS: [*KUBECTL, "logs", *selected, "-c", "user-container", "--follow", "--tail=1"],
        }
        turns = {
            name: partial(lines_a_second, platform, command) for name, command in followers.items()
        }
        taken = take_turns(turns, ROUNDS)
    finally:
        platform.maxcloud("delete", NAME, "--yes")
    show(Section("Following logs", ABOUT, [compared("lines/s", taken, [THEIRS])]))


def lines_a_second(platform: Platform, command: Sequence[str]) -> float:
    with following(command) as lines:
        # It follows when it shows what is written now.
        write(platform, 1)
        until_line(lines, "line 1 of 1,")
        began = time.perf_counter()
        write(platform, LINES)
        until_line(lines, f"line {LINES} of {LINES},")
        return LINES / (time.perf_counter() - began)


@contextmanager
def following(command: Sequence[str]) -> Iterator[Iterator[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.terminate()


def write(platform: Platform, lines: int) -> None:
    answer = platform.get(f"{platform.url(NAME)}/cgi-bin/burst?{lines}")
    assert answer.text == f"wrote {lines}\n", answer.text


def until_line(lines: Iterator[bytes], wanted: str) -> None:
    assert any(wanted.encode() in line for line in lines), wanted

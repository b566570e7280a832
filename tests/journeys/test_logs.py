"""What instances write, as it reaches whoever looks: all of it, and nothing twice.

The instances count their lines, so that one that is lost or doubled is seen.
"""

import asyncio
import json
import re
import signal
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from maxcloud.client import Client
from tests.journeys import images
from tests.journeys.platform import Platform, eventually
from tests.relay import Relay, to

# Knative lets instances of an old revision go after its window (60 s), and they drain.
TO_ZERO_SECONDS = 180

FOLLOWERS, LINES_OF_EACH = 200, 200
MEBI = 2**20
MEMORY_MAX = 256 * MEBI


@pytest.fixture
def counting(platform: Platform, name: str, tmp_path: Path) -> str:
    """The reference of an image that counts its lines, ten a second."""
    archive = images.web(tmp_path / "count.tar", page="counting", command=images.COUNTING)
    return platform.backend.push(archive, name)


class Counted:
    """The lines of each instance, in the order in which they came."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = defaultdict(list)

    def add_all(self, entries: Iterable[dict[str, Any]]) -> None:
        for entry in entries:
            self.lines[entry["instance"]].append(entry["message"].strip())

    def of(self, revision: str, at_least: int = 1) -> list[str]:
        """The instances of a revision that have written so many lines."""
        return [
            name
            for name, lines in list(self.lines.items())
            if name.startswith(f"{revision}-") and len(lines) >= at_least
        ]

    def ended(self) -> set[str]:
        """The instances that have said how many lines there were."""
        return {name for name, lines in list(self.lines.items()) if lines[-1].endswith(" in all")}

    def check(self) -> None:
        """Each line from the first on is there, once and in its order."""
        for name, (*counted, last) in self.lines.items():
            assert counted == [f"line {n}" for n in range(1, len(counted) + 1)], name
            assert last in {f"line {len(counted) + 1}", f"{len(counted)} in all"}, name


@contextmanager
def read_in_the_background(counted: Counted, entries: Iterable[dict[str, Any]]) -> Iterator[None]:
    reader = threading.Thread(target=counted.add_all, args=[entries])
    reader.start()
    yield
    reader.join(30)
    assert not reader.is_alive()


def test_logs_are_followed_from_before_the_first_instance_on(
    platform: Platform, name: str, counting: str
) -> None:
    counted = Counted()
    platform.maxcloud("deploy", counting, "--name", name, "--no-wait")
    with platform.start("logs", name, "--follow", "-o", "json") as following:
        out = following.process.stdout
        assert out is not None
        whole = (json.loads(line) for line in out if line.endswith("\n"))
        with read_in_the_background(counted, whole):
            eventually("lines", lambda: counted.of(f"{name}-00001", 3), 60, bool)
            platform.maxcloud("deploy", "--name", name, "--env", "A=1")
            eventually("lines", lambda: counted.of(f"{name}-00002", 3), 60, bool)
            platform.maxcloud("deploy", "--name", name, "--min", "3")
            eventually(
                "instances",
                lambda: counted.of(f"{name}-00003", 3),
                60,
                lambda found: len(found) == 3,
            )
            platform.maxcloud("deploy", "--name", name, "--min", "1")
            eventually("lines", lambda: counted.of(f"{name}-00004", 3), 60, bool)
            eventually("ends", counted.ended, TO_ZERO_SECONDS, lambda ended: len(ended) >= 5)
            following.process.send_signal(signal.SIGINT)
        assert following.process.wait(10) == 130
        assert following.process.stderr is not None
        assert following.process.stderr.read().strip() == ""
    counted.check()
    assert len(counted.of(name)) == 6


def test_a_broken_connection_is_resumed(platform: Platform, name: str, counting: str) -> None:
    platform.maxcloud("deploy", counting, "--name", name, "--min", "2", "--env", "PAUSE=0.02")
    counted, ended = Counted(), threading.Event()
    port = urlsplit(platform.backend.api_url).port
    assert port is not None
    with Relay(to(port)) as proxy, Client(proxy.url) as client:
        entries = client.stream_logs(name, follow=True, tail=10_000)

        def until_ended() -> Iterator[dict[str, Any]]:
            for entry in entries:
                yield entry.model_dump()
                if ended.is_set():
                    return

        with read_in_the_background(counted, until_ended()):
            for lines in range(40, 240, 40):
                of_both = partial(counted.of, name, lines)
                eventually("lines", of_both, 60, lambda found: len(found) == 2)
                eventually("a connection", proxy.cut, 30, bool)
            ended.set()
    counted.check()


def test_two_hundred_follow_one_service(platform: Platform, name: str, counting: str) -> None:
    platform.maxcloud("deploy", counting, "--name", name, "--min", "1")
    platform.maxcloud("logs", name)
    before = platform.backend.memory("logs")
    seen, during = asyncio.run(follow_together(platform, name))
    assert len(seen) == FOLLOWERS
    for numbers in seen:
        assert numbers == list(range(1, LINES_OF_EACH + 1))
    assert (len(before), len(during)) == (1, 1), "one instance for all of them"
    figures = f"{before[0] / MEBI:.0f} → {during[0] / MEBI:.0f} Mi"
    print(f"memory of logs with {FOLLOWERS} followers: {figures}")
    assert during[0] < MEMORY_MAX


async def opened(client: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
    """Open a stream; who comes with two hundred others may be told to come again in a moment."""
    for _ in range(10):
        answer = await client.get(url)
        if answer.status != 503:
            break
        answer.release()
        await asyncio.sleep(int(answer.headers["Retry-After"]))
    assert answer.status == 200, await answer.text()
    return answer


async def follow_together(platform: Platform, name: str) -> tuple[list[list[int]], list[int]]:
    """Return the numbers of the lines that each follower got, and the memory they all took."""
    everybody = asyncio.Barrier(FOLLOWERS + 1)
    url = f"{platform.backend.api_url}/api/v1/logs/{name}?follow&tail=10000"

    async def follow(client: aiohttp.ClientSession) -> list[int]:
        seen: list[int] = []
        async with await opened(client, url) as answer:
            async for line in answer.content:
                if found := re.search(rb'"message":"line (\d+)', line):
                    seen.append(int(found[1]))
                    if len(seen) in {1, LINES_OF_EACH}:
                        await everybody.wait()
                    if len(seen) == LINES_OF_EACH:
                        await everybody.wait()
                        return seen
        raise AssertionError("the stream ended")

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        async with asyncio.TaskGroup() as group:
            following = [group.create_task(follow(client)) for _ in range(FOLLOWERS)]
            await everybody.wait()
            await everybody.wait()
            memory = await asyncio.to_thread(platform.backend.memory, "logs")
            await everybody.wait()
        return [each.result() for each in following], memory


def test_what_a_container_wrote_before_it_ended_is_there(
    platform: Platform, name: str, tmp_path: Path
) -> None:
    crash = ("/bin/sh", "-c", "cat /proc/uptime; echo giving up; exit 3")
    archive = images.web(tmp_path / "crash.tar", page="", command=crash)
    image = platform.backend.push(archive, name)
    platform.maxcloud("deploy", image, "--name", name, code=1)
    lines = platform.maxcloud("logs", name, "--quiet").out.splitlines()
    # Once for each time that it was started: the two last of them, or all.
    assert lines[1::2] == ["giving up"] * (len(lines) // 2)
    assert len(set(lines[::2])) == len(lines) // 2 >= 1


def test_a_line_of_a_megabyte_comes_in_pieces(
    platform: Platform, name: str, tmp_path: Path
) -> None:
    long = "/bin/busybox head -c 1000000 /dev/zero | tr '\\0' x; echo"
    command = ("/bin/sh", "-c", f"echo begin; {long}; echo end; exec /bin/sh /serve")
    archive = images.web(tmp_path / "long.tar", page="", command=command)
    image = platform.backend.push(archive, name)
    platform.maxcloud("deploy", image, "--name", name)
    first, *pieces, last = platform.maxcloud("logs", name, "--quiet").out.splitlines()
    assert (first, last) == ("begin", "end")
    assert "".join(pieces) == "x" * 1_000_000
    assert max(map(len, pieces)) == 16 * 1024

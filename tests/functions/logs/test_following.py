"""What instances write, as it comes: all of it and nothing twice, whatever breaks in between."""

import asyncio
import contextlib
import itertools
import os
import sys
from contextlib import AsyncExitStack

import httpx
import pytest

from maxcloud.http import Api
from maxcloud.logs.feed import WAITING_BYTES_MAX
from maxcloud.store.database import Database
from tests.conftest import FUNCTIONS, TestDatabase, dev_config
from tests.functions.logs.instances import (
    LOGS,
    Client,
    Instances,
    kubeconfig_with_port,
    messages,
    serving,
)
from tests.local.apiserver import ApiServer
from tests.ports import free_port
from tests.relay import Relay, to
from tests.store.support import deleting

pytestmark = pytest.mark.anyio


async def test_a_follower_is_there_before_the_first_instance_and_after_the_last(
    client: Client, instances: Instances, db: Database
) -> None:
    async with client.stream_of(LOGS, follow="true") as stream:
        first = instances.start("aaaaa")
        assert await stream.instance() == ("aaaaa", "starting")
        instances.write(first, "one", "two")
        assert await stream.lines(2) == ["one", "two"]
        instances.become_ready(first)
        assert await stream.instance() == ("aaaaa", "ready")
        second = instances.start("bbbbb", "shop-00002")
        instances.write(second, "three")
        assert await stream.lines(1) == ["three"]
        instances.stop(first)
        assert await stream.instance() == ("aaaaa", "stopping")
        instances.write(first, "last words")
        instances.end(first)
        assert await stream.lines(1) == ["last words"]
        assert await stream.instance() == ("aaaaa", "gone")
        await deleting(db)
        instances.stop(second)
        instances.end(second)
        assert [event.event for event in await stream.rest()] == ["instance", "instance", "end"]


async def test_every_line_can_be_resumed_from(client: Client, instances: Instances) -> None:
    """Also where times are equal, go back, or belong to an instance that is slow."""
    names = [instances.start(letter * 5) for letter in "abc"]
    times = (0, 0, 0.2, 0.4, 0.4, 0.4, 1.5, 1.1, 1.5, 1.5, 2, 2)
    for number, name in enumerate(names):
        instances.wrote(name, *((time + number, f"{name} {n}") for n, time in enumerate(times)))
    events = [event for event in await client.all_of() if event.event == "log"]
    assert len(events) == 36
    for position, event in enumerate(events, start=1):
        following = messages(events[position:])
        assert await client.lines(event.id) == following
        async with client.stream_of(LOGS, event.id, follow="true") as stream:
            assert await stream.lines(len(following)) == following
    slow = instances.start("ddddd")
    instances.wrote(slow, (-5, "older than everything, and only now"))
    assert await client.lines(events[-1].id) == ["older than everything, and only now"]


async def test_a_stream_without_a_line_can_be_resumed_from(
    client: Client, instances: Instances
) -> None:
    instance = instances.start("aaaaa")
    instances.write(instance, *(f"old {n}" for n in range(5)))
    async with client.stream_of(LOGS, follow="true", tail=0) as stream:
        first = await anext(stream.events)
        assert (first.data, bool(first.id), first.retry) == ("", True, 1000)
    instances.write(instance, "meanwhile")
    instances.write(instances.start("bbbbb"), "another one's")
    async with client.stream_of(LOGS, first.id, follow="true", tail=0) as stream:
        assert await stream.lines(2) == ["meanwhile", "another one's"]


async def test_a_slow_follower_gets_every_line_and_takes_no_memory(
    client: Client, instances: Instances
) -> None:
    instance = instances.start("aaaaa")
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(client.stream_of(LOGS, follow="true"))
        quick = await stack.enter_async_context(client.stream_of(LOGS, follow="true"))
        await slow.instance()
        await quick.instance()
        instances.write(instance, "begin")
        assert await slow.lines(1) == ["begin"]
        # Forty megabytes, far more than sockets hold.
        numbered = [f"{n} {'x' * 10_000}" for n in range(4000)]
        for batch in range(0, len(numbered), 100):
            instances.write(instance, *numbered[batch : batch + 100])
            assert await quick.lines(100 + (batch == 0)) == (
                ["begin"] * (batch == 0) + numbered[batch : batch + 100]
            )
            [feed] = client.app.state.logs.feeds._feeds.values()
            waiting = [sum(map(len, map(repr, each._waiting))) for each in feed.followers]
            assert max(waiting) <= WAITING_BYTES_MAX
        assert await slow.lines(4000) == numbered


async def test_a_broken_way_to_the_cluster_loses_nothing(
    kubernetes: ApiServer,
    instances: Instances,
    db: Database,
    apis: dict[str, Api],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = int(kubernetes.url.rpartition(":")[2])
    names = [instances.start(letter * 5) for letter in "ab"]
    with Relay(to(port)) as proxy:
        way = kubeconfig_with_port(kubernetes.folder, int(proxy.url.rpartition(":")[2]))
        monkeypatch.setenv("KUBECONFIG", str(way))
        app = apis["logs"].build(dev_config(), db)
        async with (
            serving(app) as url,
            Client(base_url=url) as client,
            client.stream_of(LOGS, follow="true") as stream,
        ):
            written = itertools.count()
            for _ in range(4):
                expected = []
                for _, name in itertools.product(range(5), names):
                    expected.append(f"{name} {next(written)}")
                    instances.write(name, expected[-1])
                assert sorted(await stream.lines(10)) == sorted(expected)
                assert await asyncio.to_thread(proxy.cut)
            names.append(instances.start("ccccc"))
            instances.write(names[-1], "a new one")
            assert await stream.lines(1) == ["a new one"]


async def test_who_leaves_leaves_nothing_behind(client: Client, instances: Instances) -> None:
    instances.write(instances.start("aaaaa"), "a line")
    async with client.stream_of(LOGS, follow="true") as stream:
        assert await stream.lines(1) == ["a line"]
        [feed] = client.app.state.logs.feeds._feeds.values()
        assert len(feed.followers) == 1
    async with asyncio.timeout(20):
        while feed.followers:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_function_that_ends_says_farewell(
    kubernetes: ApiServer, instances: Instances, db: Database, database: TestDatabase
) -> None:
    instance, port = instances.start("aaaaa"), free_port()
    env = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "DEV_MODE": "true",
        "MAXCLOUD_DOMAIN": "localhost:8080",
        "DATABASE_URL": database.api,
        "FUNCTION_TARGET": "logs",
        "FUNCTION_SOURCE": str(FUNCTIONS / "logs.py"),
        "KUBECONFIG": str(kubernetes.kubeconfig),
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    command = (sys.executable, "-m", "maxcloud.runtime")
    output = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=output)
    try:
        async with Client(base_url=f"http://127.0.0.1:{port}") as client:
            await answering(client)
            instances.write(instance, "one")
            async with client.stream_of(LOGS, follow="true") as stream:
                assert await stream.lines(1) == ["one"]
                process.terminate()
                [farewell] = await stream.rest()
            assert farewell.event == "farewell"
        async with asyncio.timeout(10):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert farewell.id, "the next one goes on from here"


async def answering(client: Client) -> None:
    """Wait until the function answers."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(httpx.ConnectError):
                await client.get("/healthz")
                return
            await asyncio.sleep(0.02)

"""The function `logs`: what instances write, over HTTP, from a real Kubernetes API."""

import asyncio
import contextlib
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from maxcloud.http import Api
from maxcloud.logs.feed import WAITING_BYTES_MAX
from maxcloud.store.database import Database
from tests.conftest import FUNCTIONS, TestDatabase, dev_config
from tests.functions.instances import (
    START,
    Client,
    Instances,
    kubeconfig_with_port,
    messages,
    serving,
)
from tests.functions.support import assert_refusal
from tests.journeys.proxy import cutting_proxy
from tests.local.apiserver import ApiServer, running_api
from tests.ports import free_port
from tests.store.support import add_organisation, created, deleting, execute

pytestmark = pytest.mark.anyio

LOGS = "/api/v1/logs/shop"


@pytest.fixture
async def kubernetes(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with running_api(tmp_path) as running:
        yield running


@pytest.fixture
def instances(kubernetes: ApiServer) -> Instances:
    return Instances(kubernetes)


@pytest.fixture
async def db(database: TestDatabase) -> AsyncIterator[Database]:
    """The database as the API's role, with the service `shop`."""
    db = Database(database.api)
    await created(db)
    yield db
    await db.close()


@pytest.fixture
async def client(
    kubernetes: ApiServer, db: Database, apis: dict[str, Api], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    monkeypatch.setenv("KUBECONFIG", str(kubernetes.kubeconfig))
    app = apis["logs"].build(dev_config(), db)
    async with serving(app) as url, Client(base_url=url) as client:
        client.app = app
        yield client


async def test_what_instances_wrote_comes_by_time_and_ends(
    client: Client, instances: Instances
) -> None:
    first, second = instances.start("aaaaa"), instances.start("bbbbb", "shop-00002")
    instances.start("ccccc", "other-00001", service="other")
    instances.become_ready(second)
    instances.wrote(first, (1, "one"), (4, "four"), (5, "five"))
    instances.wrote(second, (2, "two"), (3, "three"))
    async with client.stream_of(LOGS) as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["x-request-id"]
        events = await stream.rest()
    assert [event.event for event in events] == ["instance"] * 2 + ["log"] * 5 + ["end"]
    assert [json.loads(event.data) for event in events[:2]] == [
        {"name": "shop-00001-aaaaa", "revision": "shop-00001", "state": "starting"},
        {"name": "shop-00002-bbbbb", "revision": "shop-00002", "state": "ready"},
    ]
    assert messages(events) == ["one", "two", "three", "four", "five"]
    assert json.loads(events[3].data) == {
        "timestamp": "2025-11-22T12:00:02Z",
        "message": "two",
        "stream": "stdout",
        "revision": "shop-00002",
        "instance": "shop-00002-bbbbb",
    }
    assert len({event.id for event in events if event.event == "log"}) == 5


async def test_standard_error_is_told_apart_where_it_can_be(
    client: Client, instances: Instances
) -> None:
    instance = instances.start("aaaaa")
    instances.write(instance, "out")
    instances.write(instance, "stdout F oh", stream="stderr")
    events = await client.all_of()
    told = [json.loads(event.data) for event in events if event.event == "log"]
    assert [(entry["stream"], entry["message"]) for entry in told] == [
        ("stdout", "out"),
        ("stderr", "stdout F oh"),
    ]


async def test_tail_counts_the_lines_of_all_instances(client: Client, instances: Instances) -> None:
    first, second, _ = (instances.start(letter * 5) for letter in "abc")
    instances.wrote(first, *((n, f"a{n}") for n in range(0, 300, 2)))
    instances.wrote(second, *((n, f"b{n}") for n in range(1, 100, 2)))
    assert await client.lines(tail=3) == ["a294", "a296", "a298"]
    assert len(await client.lines()) == 100
    assert await client.lines(tail=101) == ["b99", *(f"a{n}" for n in range(100, 300, 2))]
    everything = await client.lines(tail=1000)
    assert everything == [f"{'ab'[n % 2]}{n}" for n in range(100)] + everything[100:]
    assert len(everything) == 200


async def test_tail_nought_is_about_the_instances(client: Client, instances: Instances) -> None:
    instances.write(instances.start("aaaaa"), "a line")
    assert [event.event for event in await client.all_of(tail=0)] == ["instance", "end"]


async def test_since_and_revision_narrow_it(
    client: Client, instances: Instances, database: TestDatabase
) -> None:
    first = instances.start("aaaaa")
    instances.wrote(first, (0.1, "early"), (0.5, "same second"), (2, "late"))
    since = (START + timedelta(seconds=0.3)).isoformat()
    assert await client.lines(since=since) == ["same second", "late"]
    assert await client.lines(since=since, tail=1) == ["late"]
    instances.write(first, "now")
    assert await client.lines(since="1m") == ["now"]
    insert = """
        insert into revisions (org_id, service_id, generation, name, image, digest, template)
        select org_id, id, 2, 'shop-00002', 'i', 'd', '{}' from services
    """
    execute(database.owner, insert)
    instances.write(instances.start("bbbbb", "shop-00002"), "of the second")
    assert await client.lines(revision="shop-00002") == ["of the second"]


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


async def test_a_line_of_a_megabyte_comes_in_pieces(client: Client, instances: Instances) -> None:
    instance = instances.start("aaaaa")
    long = "\N{SNOWMAN}" * (2**20 // 3)
    instances.write(instance, "before", long, "after")
    first, *pieces, last = await client.lines()
    assert (first, "".join(pieces), last) == ("before", long, "after")
    assert max(len(piece.encode()) for piece in pieces) <= 16 * 1024
    events = await client.all_of()
    middle = next(n for n, event in enumerate(events) if event.id) + 30
    assert await client.lines(events[middle].id) == messages(events[middle + 1 :])


async def test_what_drives_a_terminal_or_a_stream_is_text(
    client: Client, instances: Instances
) -> None:
    texts = ["\x1b[2J", "a\rb", "data: x", "", "\u2028\u0085\x00", "\ud800"]
    instances.write(instances.start("aaaaa"), *texts)
    assert await client.lines() == [*texts[:-1], "?"]


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
    with cutting_proxy(port) as proxy:
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


async def test_a_cluster_that_is_away_is_503_before_the_stream_begins(
    client: Client, kubernetes: ApiServer
) -> None:
    await kubernetes.runner.cleanup()
    for query in ({}, {"follow": "true"}):
        answer = await client.get(LOGS, params=query)
        said = assert_refusal(answer, "unavailable")
        assert said == "the cluster does not show its instances now"
        assert answer.headers["retry-after"] == "5"


async def test_another_organisations_service_is_not_found(
    client: Client, database: TestDatabase, instances: Instances
) -> None:
    insert = "insert into services (org_id, name, image) values (%s, 'blog', 'i') returning id"
    [(service_id,)] = execute(database.owner, insert, add_organisation(database.owner))
    instances.write(instances.start("aaaaa", "blog-00001", service="blog"), "secret")
    for known_as in ("blog", service_id, "none", "%00", "a%2Fb"):
        for query in ({}, {"follow": "true"}, {"tail": "0"}):
            answer = await client.get(f"/api/v1/logs/{known_as}", params=query)
            assert_refusal(answer, "not_found")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("tail=-1", "tail"),
        ("tail=10001", "tail"),
        ("tail=ten", "tail"),
        ("tail=1&tail=2", "tail"),
        ("follow=perhaps", "follow"),
        ("since=yesterday", "since"),
        ("since=", "since"),
        ("revision=shop-00009", "revision"),
        ("revision=%00", "revision"),
        ("lines=5", "lines"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(
    client: Client, query: str, field: str
) -> None:
    said = assert_refusal(await client.get(f"{LOGS}?{query}"), "invalid_field", field)
    assert said.startswith(field)


async def test_an_id_that_is_none_of_ours_is_refused(client: Client) -> None:
    for last_id in ("1", "AQ=A", "x" * 3000):
        answer = await client.get(LOGS, headers={"Last-Event-ID": last_id})
        assert_refusal(answer, "invalid_field", "Last-Event-ID")


async def test_only_the_type_that_there_is_is_sent(client: Client) -> None:
    for accepted in ("text/event-stream", "text/*", "*/*", "text/html, text/event-stream;q=0.5"):
        assert (await client.get(LOGS, headers={"Accept": accepted})).status_code == 200
    answer = await client.get(LOGS, headers={"Accept": "application/json"})
    said = assert_refusal(answer, "not_acceptable")
    assert said == "the answer is text/event-stream: accept that"


async def test_head_does_not_wait_for_the_end(client: Client) -> None:
    answer = await client.head(LOGS, params={"follow": "true"})
    assert (answer.status_code, answer.content) == (200, b"")


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

"""What instances wrote, over HTTP: how much of it, in which order, and who gets none."""

import json
from datetime import timedelta

import pytest

from tests.conftest import TestDatabase
from tests.functions.logs.instances import LOGS, START, Client, Instances, messages
from tests.functions.support import assert_refusal
from tests.local.apiserver import ApiServer
from tests.store.support import add_organisation, execute

pytestmark = pytest.mark.anyio


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

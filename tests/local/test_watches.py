"""Watches and followed logs over the API."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from maxcloud_local.kinds import POD, SERVICE
from maxcloud_local.kubernetes.podlogs import CRI_LOG
from maxcloud_local.store import CHANGES_KEPT
from tests.local.apiserver import CORE, DEADLINE, KSVCS, ApiServer, an_object

pytestmark = pytest.mark.anyio

LOG = f"{CORE}/namespaces/default/pods/hello-1/log"


def create(api: ApiServer, name: str, **labels: str) -> int:
    api.store.create(SERVICE, an_object(SERVICE, name, spec={}, metadata={"labels": labels}))
    return api.store.version


def label(api: ApiServer, name: str, **labels: str) -> None:
    live = api.store.get(SERVICE, "default", name)
    api.store.replace(SERVICE, live | {"metadata": live["metadata"] | {"labels": labels}})


async def next_event(answer: aiohttp.ClientResponse) -> Any:
    async with asyncio.timeout(DEADLINE):
        return json.loads(await answer.content.readline())


async def next_change(answer: aiohttp.ClientResponse) -> tuple[str, str]:
    event = await next_event(answer)
    return event["type"], event["object"]["metadata"]["name"]


async def test_a_watch_begins_with_what_is_there_or_after_a_version(api: ApiServer) -> None:
    version = create(api, "one")
    create(api, "two")
    for query, first in (
        ({"watch": "true"}, "one"),
        ({"watch": "1", "resourceVersion": "0"}, "one"),
        ({"watch": "true", "resourceVersion": str(version)}, "two"),
    ):
        async with api.client.get(KSVCS, params=query) as answer:
            assert answer.headers["Content-Type"] == "application/json"
            assert await next_change(answer) == ("ADDED", first)


async def test_a_watch_sees_its_namespace_kind_and_selection(api: ApiServer) -> None:
    query = {"watch": "true", "labelSelector": "tier=web", "allowWatchBookmarks": "true"}
    create(api, "one", tier="web")
    async with api.client.get(KSVCS, params=query) as answer:
        assert await next_change(answer) == ("ADDED", "one")
        create(api, "two", tier="db")
        elsewhere = {"labels": {"tier": "web"}, "namespace": "shop"}
        api.store.create(SERVICE, an_object(SERVICE, "three", spec={}, metadata=elsewhere))
        api.store.create(POD, an_object(POD, "pod", metadata={"labels": {"tier": "web"}}))
        label(api, "two", tier="web")
        assert await next_change(answer) == ("ADDED", "two")
        api.store.set_status(SERVICE, "default", "one", {"url": "x"})
        assert await next_change(answer) == ("MODIFIED", "one")
        label(api, "one", tier="db")
        assert await next_change(answer) == ("DELETED", "one")
        api.store.delete(SERVICE, "default", "one")
        api.store.delete(SERVICE, "default", "two")
        assert await next_change(answer) == ("DELETED", "two")


async def test_a_watch_that_begins_late_knows_what_matched_before(api: ApiServer) -> None:
    version = create(api, "one", tier="web")
    label(api, "one", tier="db")
    query = {"watch": "true", "labelSelector": "tier=web", "resourceVersion": str(version)}
    async with api.client.get(KSVCS, params=query) as answer:
        assert await next_change(answer) == ("DELETED", "one")


async def test_a_watch_gives_rows_to_who_asks_for_a_table(api: ApiServer) -> None:
    create(api, "one")
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    async with api.client.get(KSVCS, params={"watch": "true"}, headers=headers) as answer:
        event = await next_event(answer)
        assert event["object"]["kind"] == "Table"
        assert event["object"]["rows"][0]["cells"][0] == "one"


async def test_a_watch_ends_in_its_time(api: ApiServer) -> None:
    create(api, "one")
    query = {"watch": "true", "timeoutSeconds": "1"}
    async with api.client.get(KSVCS, params=query) as answer:
        lines = (await answer.read()).splitlines()
    assert len(lines) == 1


async def test_who_asks_for_what_is_forgotten_lists_again(api: ApiServer) -> None:
    version = create(api, "one")
    for number in range(CHANGES_KEPT + 1):
        api.store.set_status(SERVICE, "default", "one", {"number": number})
    for old in ("1", str(version)):
        query = {"watch": "true", "resourceVersion": old}
        async with api.client.get(KSVCS, params=query) as answer:
            event = await next_event(answer)
            assert event["type"] == "ERROR"
            assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
            assert await answer.read() == b""


async def test_a_streaming_list_is_refused_so_that_clients_fall_back(api: ApiServer) -> None:
    query = {"watch": "true", "sendInitialEvents": "true", "allowWatchBookmarks": "true"}
    status, said = await api.call("GET", KSVCS, params=query)
    assert (status, said["reason"]) == (422, "Invalid")
    status, said = await api.call("GET", KSVCS, params={"watch": "true", "resourceVersion": "x"})
    assert (status, said["reason"]) == (400, "BadRequest")


async def test_the_end_of_the_server_is_the_end_of_its_watches(api: ApiServer) -> None:
    create(api, "one")
    log = api.logs.open("default", "hello-1")
    api.store.create(POD, an_object(POD, "hello-1"))
    log.write("stdout", "one")
    async with (
        api.client.get(KSVCS, params={"watch": "true"}) as watching,
        api.client.get(LOG, params={"follow": "true"}) as following,
    ):
        await next_change(watching)
        assert await following.content.readline() == b"one\n"
        async with asyncio.timeout(DEADLINE / 2):
            await api.runner.cleanup()
        assert await watching.read() + await following.read() == b""


async def test_a_client_that_goes_away_leaves_no_watcher_behind(api: ApiServer) -> None:
    create(api, "one")
    async with api.client.get(KSVCS, params={"watch": "true"}) as watching:
        await next_change(watching)
        watching.close()
    async with asyncio.timeout(DEADLINE):
        while any("handle_request" in repr(task) for task in asyncio.all_tasks()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_logs_of_a_pod_are_read_in_part(api: ApiServer) -> None:
    containers = [{"name": "user-container"}]
    api.store.create(POD, an_object(POD, "hello-1", spec={"containers": containers}))
    waiting, said = await api.call("GET", LOG)
    assert (waiting, said["reason"]) == (400, "BadRequest")
    assert "waiting to start" in said["message"]
    log = api.logs.open("default", "hello-1")
    for text in ("one", "two \U0001f600", "\ud800"):
        log.write("stdout", text)
    all_of_it = "one\ntwo \U0001f600\n?\n"
    for query, text in (
        ({}, all_of_it),
        ({"container": "user-container"}, all_of_it),
        ({"tailLines": "1"}, "?\n"),
        ({"tailLines": "0"}, ""),
        ({"sinceSeconds": "60"}, all_of_it),
        ({"sinceTime": "2026-01-01T00:00:00Z"}, all_of_it),
        ({"sinceTime": "2999-01-01T00:00:00Z"}, ""),
    ):
        async with api.client.get(LOG, params=query) as answer:
            assert answer.headers["Content-Type"] == "text/plain"
            assert await answer.text() == text
    async with api.client.get(LOG, params={"timestamps": "true", "tailLines": "3"}) as answer:
        time, said = (await answer.content.readline()).split(b" ")
    assert (len(time), time[-1:], said) == (len("2026-01-01T00:00:00.000000000Z"), b"Z", b"one\n")


async def test_a_log_names_its_streams_to_who_accepts_that(api: ApiServer) -> None:
    api.store.create(POD, an_object(POD, "hello-1", spec={"containers": [{"name": "c"}]}))
    log = api.logs.open("default", "hello-1")
    log.write("stdout", "one")
    log.write("stderr", "two")
    headers = {"Accept": f"{CRI_LOG}, */*"}
    query = {"timestamps": "true"}
    async with api.client.get(LOG, headers=headers, params=query) as answer:
        assert answer.headers["Content-Type"] == CRI_LOG
        first, second = (await answer.text()).splitlines()
    assert (first.split(" ")[1:], second.split(" ")[1:]) == (
        ["stdout", "F", "one"],
        ["stderr", "F", "two"],
    )
    assert first < second, "no two have the same time"


@pytest.mark.parametrize(
    "query",
    [
        {"container": "other"},
        {"tailLines": "-1"},
        {"sinceSeconds": "999999999999999999"},
        {"sinceTime": "yesterday"},
        {"sinceTime": "2026-01-01T00:00:00"},
        {"sinceTime": "2026-01-01T00:00:00Z", "sinceSeconds": "1"},
        {"follow": "perhaps"},
        {"previous": "true"},
    ],
    ids=str,
)
async def test_a_question_about_logs_that_makes_no_sense(
    api: ApiServer, query: dict[str, str]
) -> None:
    containers = [{"name": "user-container"}]
    api.store.create(POD, an_object(POD, "hello-1", spec={"containers": containers}))
    api.logs.open("default", "hello-1")
    status, said = await api.call("GET", LOG, params=query)
    assert (status, said["reason"]) == (400, "BadRequest")
    status, said = await api.call("GET", LOG.replace("hello-1", "none"))
    assert (status, said["message"]) == (404, 'pods "none" not found')

"""The timer and the changes of objects, as events at a Broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from maxcloud_local.eventing.broker import UnknownBroker
from maxcloud_local.eventing.cloudevent import Event
from maxcloud_local.eventing.sources import Sources
from maxcloud_local.kinds import API_SERVER_SOURCE, BROKER, PING_SOURCE, SERVICE, Kind
from maxcloud_local.store import NotFound, Object, Store
from tests.local.standins import until

pytestmark = pytest.mark.anyio

SOURCES = Path(__file__).parents[2] / "eventing" / "sources"

SYSTEM = "mc-system"


class Sink:
    """A Broker that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[dict[str, str]] = []
        self.data: list[bytes] = []
        self.known = {(SYSTEM, "maxcloud")}

    def accept(self, namespace: str, broker: str, event: Event) -> None:
        if (namespace, broker) not in self.known:
            raise UnknownBroker(broker)
        self.events.append(dict(event.attributes))
        self.data.append(event.data)


class Here:
    """A store, the sources over it, and the Broker that they send to."""

    def __init__(self) -> None:
        self.store, self.sink = Store(), Sink()
        self.sources = Sources(self.store, self.sink.accept)

    def add(self, kind: Kind, name: str, namespace: str = SYSTEM, **rest: Any) -> Object:
        labels = rest.pop("labels", {})
        return self.store.create(
            kind,
            {
                "apiVersion": kind.api_version,
                "kind": kind.name,
                "metadata": {"name": name, "namespace": namespace, "labels": labels},
                "spec": {},
                **rest,
            },
        )

    def ready(self, kind: Kind, name: str) -> tuple[str, str]:
        status = self.store.get(kind, SYSTEM, name).get("status", {})
        said = {each["type"]: each for each in status.get("conditions", [])}
        return said["Ready"]["status"], said["Ready"].get("reason", "")


@asynccontextmanager
async def running(*manifests: Object) -> AsyncIterator[Here]:
    here = Here()
    here.add(BROKER, "maxcloud", status={"address": {"url": "http://b/mc-system/maxcloud"}})
    for each in manifests:
        here.store.create(PING_SOURCE if each["kind"] == "PingSource" else API_SERVER_SOURCE, each)
    here.add(SERVICE, "before", labels={"maxcloud.dev/managed": "true"})
    task = asyncio.create_task(here.sources.run())
    await asyncio.sleep(0)
    try:
        yield here
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def platform(name: str) -> Object:
    found: Object = yaml.safe_load((SOURCES / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


async def test_the_sweep() -> None:
    async with running(platform("sweep")) as here:
        here.sources.fire(SYSTEM, "sweep")
        here.sources.fire(SYSTEM, "sweep")
        [first, second] = here.sink.events
        assert first.pop("id") != second.pop("id")
        assert first.pop("time")
        assert first == {
            "specversion": "1.0",
            "type": "dev.knative.sources.ping",
            "source": "/apis/v1/namespaces/mc-system/pingsources/sweep",
            "maxcloudjob": "sweep",
        }
        assert here.sink.data == [b"", b""]
        assert here.ready(PING_SOURCE, "sweep") == ("True", "")
        status = here.store.get(PING_SOURCE, SYSTEM, "sweep")["status"]
        assert status["sinkUri"] == "http://b/mc-system/maxcloud"
        with pytest.raises(NotFound):
            here.sources.fire(SYSTEM, "nobody")


async def test_a_timer_ticks_until_it_is_gone() -> None:
    async with running() as here:
        made = platform("sweep")
        made["spec"] |= {"schedule": "* * * * * *", "data": "x", "contentType": "text/plain"}
        here.store.create(PING_SOURCE, made)
        await until(lambda: len(here.sink.events) >= 2)
        assert here.sink.events[0]["datacontenttype"] == "text/plain"
        assert here.sink.data[0] == b"x"

        made["spec"]["schedule"] = "0 0 1 1 *"
        here.store.replace(PING_SOURCE, made)
        await asyncio.sleep(0)
        ticks = len(here.sink.events)
        await asyncio.sleep(1.1)
        assert len(here.sink.events) == ticks

        made["spec"]["schedule"] = "* * * * * *"
        here.store.replace(PING_SOURCE, made)
        await until(lambda: len(here.sink.events) > ticks)
        here.store.delete(PING_SOURCE, SYSTEM, "sweep")
        await asyncio.sleep(0)
        ticks = len(here.sink.events)
        await asyncio.sleep(1.1)
        assert len(here.sink.events) == ticks


async def test_changes_of_services() -> None:
    async with running(platform("services")) as here:
        ours = {"maxcloud.dev/managed": "true"}
        made = here.add(SERVICE, "hello", "default", labels=ours)
        here.add(SERVICE, "foreign", "default")
        here.add(PING_SOURCE, "other", labels=ours)
        here.store.replace(SERVICE, {**made, "spec": {"changed": True}})
        here.store.set_status(SERVICE, "default", "hello", {"conditions": []})
        here.store.delete(SERVICE, "default", "hello")
        await until(lambda: len(here.sink.events) == 4)
        assert [event["type"].rpartition(".")[2] for event in here.sink.events] == [
            *("add", "update", "update", "delete")
        ]
        event = here.sink.events[0]
        assert event.pop("id")
        assert event.pop("time")
        assert event == {
            "specversion": "1.0",
            "type": "dev.knative.apiserver.ref.add",
            "source": "https://kubernetes.default.svc",
            "subject": "/apis/serving.knative.dev/v1/namespaces/default/services/hello",
            "kind": "Service",
            "apiversion": "serving.knative.dev/v1",
            "name": "hello",
            "namespace": "default",
            "datacontenttype": "application/json",
        }
        assert (
            here.sink.data[0] == b'{"kind": "Service", "name": "hello", "namespace": "default", '
            b'"apiVersion": "serving.knative.dev/v1"}'
        )


async def test_what_begins_or_ceases_to_be_ours() -> None:
    async with running(platform("services")) as here:
        made = here.add(SERVICE, "hello", "default")
        metadata = made["metadata"]
        ours = {**metadata, "labels": {"maxcloud.dev/managed": "true"}, "resourceVersion": None}
        here.store.replace(SERVICE, {**made, "metadata": ours})
        here.store.replace(SERVICE, {**made, "metadata": {**ours, "labels": {}}})
        await until(lambda: len(here.sink.events) == 2)
        assert [event["type"].rpartition(".")[2] for event in here.sink.events] == ["add", "delete"]


async def test_without_a_selector_only_the_sources_own_namespace() -> None:
    source = platform("services")
    del source["spec"]["namespaceSelector"]
    async with running(source) as here:
        ours = {"maxcloud.dev/managed": "true"}
        here.add(SERVICE, "there", "default", labels=ours)
        here.add(SERVICE, "here", labels=ours)
        await until(lambda: here.sink.events)
        assert [event["name"] for event in here.sink.events] == ["here"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sweep", {"schedule": "sometimes"}),
        ("sweep", {"schedule": "@every 10s"}),
        ("services", {"mode": "Resource"}),
        ("services", {"namespaceSelector": {"matchLabels": {"a": "b"}}}),
        ("services", {"resources": [{"apiVersion": "v1", "kind": "Node"}]}),
        ("services", {"resources": [{}]}),
    ],
)
async def test_what_this_engine_cannot_do_is_said(name: str, change: Object) -> None:
    source = platform(name)
    source["spec"] |= change
    async with running(source) as here:
        kind = PING_SOURCE if name == "sweep" else API_SERVER_SOURCE
        assert here.ready(kind, name) == ("False", "Unusable")
        here.add(SERVICE, "hello", labels={"maxcloud.dev/managed": "true"})
        await asyncio.sleep(0.01)
        assert here.sink.events == []


@pytest.mark.parametrize("name", ["sweep", "services"])
async def test_a_broker_that_is_missing_loses_events_and_nothing_else(name: str) -> None:
    kind = PING_SOURCE if name == "sweep" else API_SERVER_SOURCE
    async with running(platform(name)) as here:
        here.sink.known.clear()
        here.store.delete(BROKER, SYSTEM, "maxcloud")
        await until(lambda: here.ready(kind, name) == ("False", "NotFound"))
        here.add(SERVICE, "hello", labels={"maxcloud.dev/managed": "true"})
        if name == "sweep":
            here.sources.fire(SYSTEM, "sweep")
        here.add(BROKER, "maxcloud")
        await until(lambda: here.ready(kind, name) == ("True", ""))

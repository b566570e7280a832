"""How a service ends, and the engine with services in it."""

import asyncio

import pytest

from maxcloud_local.kinds import SERVICE
from tests.local.cluster import Cluster, cluster
from tests.local.standins import NAMESPACE, ksvc, until

pytestmark = pytest.mark.anyio


async def test_what_is_deleted_ends_after_its_requests() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        revision = it.serving.route(NAMESPACE, "hello")
        assert revision is not None
        async with revision.room():
            it.store.delete(SERVICE, NAMESPACE, "hello")
            await until(lambda: not it.revisions)
            assert it.routes_to() is None
            assert it.launcher.alive
        await until(lambda: not it.launcher.alive)
        assert it.launcher.happenings[-1] == ("gone", "")


async def test_the_end_of_the_engine_waits_for_no_request() -> None:
    it = Cluster()
    running = asyncio.create_task(it.serving.run())
    it.apply()
    await it.settled()
    revision = it.serving.route(NAMESPACE, "hello")
    assert revision is not None
    async with revision.room():
        it.store.delete(SERVICE, NAMESPACE, "hello")
        it.store.create(SERVICE, ksvc("hello-00002"))
        await it.settled()
        assert len(it.launcher.alive) == 2
        running.cancel()
        async with asyncio.timeout(5):
            await it.serving.stop()
        assert not it.launcher.alive


async def test_what_is_deleted_and_made_anew_at_once_is_another() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        it.store.delete(SERVICE, NAMESPACE, "hello")
        it.apply(image="b")
        await it.settled()
        assert it.revision("hello-00001")["spec"]["containers"][0]["image"] == "b"
        await until(lambda: [each.pod for each in it.launcher.alive] == ["hello-00001-1"])

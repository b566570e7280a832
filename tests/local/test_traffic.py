"""Which revisions there are, and which of them the requests of a service go to."""

from collections import Counter

import pytest

from maxcloud_local.kinds import REVISION
from maxcloud_local.serving.serving import REVISIONS_KEPT
from tests.local.cluster import cluster, is_seen, said
from tests.local.standins import NAMESPACE, until

pytestmark = pytest.mark.anyio


async def test_traffic_moves_when_the_next_revision_is_ready() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        it.apply("hello-00002", image="b")
        await it.settled(revision="hello-00002")
        assert it.routes_to() == "hello-00002"
        assert it.service["status"]["traffic"][0]["revisionName"] == "hello-00002"
        # Back to the first, which is known to start.
        it.apply("hello-00001")
        await it.settled(revision="hello-00001")
        assert it.routes_to() == "hello-00001"
        assert it.revisions == ["hello-00001", "hello-00002"]


async def test_traffic_is_split_and_tags_lead_to_one_revision() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        latest = {"latestRevision": True, "percent": 50, "tag": "next"}
        pinned = {"revisionName": "hello-00001", "percent": 50}
        old = {"revisionName": "hello-00001", "tag": "old"}
        it.apply("hello-00002", image="b", traffic=[latest, pinned, old])
        await it.settled(revision="hello-00002")
        assert it.service["status"]["traffic"] == [
            {
                **latest,
                "revisionName": "hello-00002",
                "url": "http://hello--next.localhost:8080",
            },
            {**pinned, "latestRevision": False},
            {
                **old,
                "latestRevision": False,
                "percent": 0,
                "url": "http://hello--old.localhost:8080",
            },
        ]
        assert it.routes_to("next") == "hello-00002"
        assert it.routes_to("old") == "hello-00001"
        assert it.routes_to("other") is None
        taken = Counter(it.routes_to() for _ in range(400))
        assert set(taken) == {"hello-00001", "hello-00002"}
        assert min(taken.values()) > 100


async def test_traffic_to_what_is_not_there_leaves_the_routes_as_they_are() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        it.apply(traffic=[{"revisionName": "hello-00007", "percent": 100}])
        await it.settled("RevisionMissing")
        assert said(it.service)["RoutesReady"][2] == (
            'Revision "hello-00007" referenced in traffic not found.'
        )
        assert it.routes_to() == "hello-00001"
        assert it.revisions == ["hello-00001"]


async def test_without_a_name_a_revision_is_counted_by_templates() -> None:
    async with cluster() as it:
        it.apply(None)
        await it.settled()
        it.apply(None, traffic=[{"revisionName": "hello-00001", "percent": 100}])
        await until(lambda: is_seen(it.service))
        assert it.revisions == ["hello-00001"]
        it.apply(None, image="b")
        await it.settled(revision="hello-00002")
        assert it.revisions == ["hello-00001", "hello-00002"]


async def test_a_name_that_another_template_had_is_taken() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        it.apply("hello-00002", image="b")
        await it.settled(revision="hello-00002")
        it.apply("hello-00001", image="c")
        await it.settled("RevisionFailed")
        assert said(it.service)["RoutesReady"][1] == "RevisionNameTaken"
        assert it.routes_to() == "hello-00002"


async def test_a_revision_deleted_by_hand_comes_back() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        it.store.delete(REVISION, NAMESPACE, "hello-00001")
        await until(lambda: len(it.launcher.made) == 2 and it.launcher.made[0].stopped)
        await it.settled()
        assert it.routes_to() == "hello-00001"


async def test_only_some_revisions_without_traffic_are_kept() -> None:
    async with cluster() as it:
        for number in range(1, REVISIONS_KEPT + 4):
            name = f"hello-{number:05d}"
            it.apply(name, image=str(number))
            await it.settled(revision=name)
        await until(lambda: len(it.revisions) == REVISIONS_KEPT + 1)
        assert it.revisions[0] == "hello-00003"

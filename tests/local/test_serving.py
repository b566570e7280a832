import asyncio
import copy
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from maxcloud.knative import manifests
from maxcloud.knative import status as platform
from maxcloud.models import ServiceStatus, Template
from maxcloud.traffic import LATEST, all_to
from maxcloud_local.kinds import CONFIG_MAP, REVISION, SERVICE
from maxcloud_local.serving.admission import admission
from maxcloud_local.serving.serving import REVISIONS_KEPT, Serving
from maxcloud_local.store import Object, Store
from tests.local.standins import NAMESPACE, StandInLauncher, ksvc, until


class Cluster:
    """A store, what follows it, and instances whose readiness the test decides."""

    def __init__(self, *, ready: bool = True) -> None:
        self.launcher = StandInLauncher(ready=ready)
        self.store = Store(admission)
        self.serving = Serving(
            self.store,
            self.launcher,
            self.launcher.tell,
            lambda label: f"http://{label}.localhost:8080",
        )

    def apply(self, revision: str | None = "hello-00001", **changes: Any) -> None:
        wanted = ksvc(revision, **changes)
        if self.store.find(SERVICE, NAMESPACE, "hello") is None:
            self.store.create(SERVICE, wanted)
        else:
            self.store.replace(SERVICE, wanted)

    @property
    def service(self) -> Object:
        return self.store.get(SERVICE, NAMESPACE, "hello")

    def revision(self, name: str) -> Object:
        return self.store.get(REVISION, NAMESPACE, name)

    @property
    def revisions(self) -> list[str]:
        return [each["metadata"]["name"] for each in self.store.all(REVISION, NAMESPACE)]

    async def settled(self, reason: str = "", revision: str = "") -> None:
        """Wait until the service's Ready is True, or False with this reason."""
        wanted = ("False", reason) if reason else ("True", "")
        await until(
            lambda: (
                is_seen(self.service)
                and said(self.service)["Ready"][:2] == wanted
                and revision in {"", self.service["status"]["latestCreatedRevisionName"]}
            )
        )

    def observed(self) -> tuple[ServiceStatus, str, str, str | None]:
        """Return what the platform's `status` reads."""
        newest = platform.newest_revision(self.service)
        revision = self.store.find(REVISION, NAMESPACE, newest) if newest else None
        seen = platform.observe(self.service, revision, [], datetime.now(UTC))
        return seen.status, seen.reason, seen.message, seen.ready_revision

    def routes_to(self, tag: str | None = None) -> str | None:
        revision = self.serving.route(NAMESPACE, "hello", tag)
        return revision.name if revision else None


@asynccontextmanager
async def cluster(*, ready: bool = True) -> AsyncIterator[Cluster]:
    it = Cluster(ready=ready)
    running = asyncio.create_task(it.serving.run())
    yield it
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await it.serving.stop()
    assert not it.launcher.alive


def is_seen(found: Object) -> bool:
    return bool(
        found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
    )


def said(found: Object) -> dict[str, tuple[str, str, str]]:
    return {
        each["type"]: (each["status"], each.get("reason", ""), each.get("message", ""))
        for each in found["status"]["conditions"]
    }


@pytest.mark.anyio
async def test_a_service_becomes_ready_with_its_first_instance() -> None:
    async with cluster(ready=False) as it:
        it.apply()
        await until(lambda: it.launcher.alive)
        deploying = ("Unknown", "Deploying", "")
        assert said(it.revision("hello-00001")) == {
            "Active": (
                "Unknown",
                "Queued",
                "Requests to the target are being buffered as resources are provisioned.",
            ),
            "ContainerHealthy": deploying,
            "ResourcesAvailable": deploying,
            "Ready": deploying,
        }
        missing = (
            "Unknown",
            "RevisionMissing",
            'Configuration "hello" is waiting for a Revision to become ready.',
        )
        assert said(it.service) == {
            "ConfigurationsReady": ("Unknown", "", ""),
            "RoutesReady": missing,
            "Ready": ("Unknown", "", ""),
        }
        assert it.observed() == (ServiceStatus.PENDING, "RevisionCreated", "", None)
        assert it.routes_to() is None

        it.launcher.made[0].become_ready()
        await it.settled()
        yes = ("True", "", "")
        assert set(said(it.revision("hello-00001")).values()) == {yes}
        assert set(said(it.service).values()) == {yes}
        status = dict(it.service["status"])
        del status["conditions"]
        assert status == {
            "observedGeneration": 1,
            "latestCreatedRevisionName": "hello-00001",
            "latestReadyRevisionName": "hello-00001",
            "url": "http://hello.localhost:8080",
            "address": {"url": "http://hello.default.svc.cluster.local"},
            "traffic": [{"latestRevision": True, "percent": 100, "revisionName": "hello-00001"}],
        }
        assert it.observed() == (ServiceStatus.READY, "", "", "hello-00001")
        assert it.routes_to() == "hello-00001"
        assert it.launcher.happenings == [("wakes", "0 → 1"), ("ready", "hello-00001")]


@pytest.mark.anyio
async def test_where_no_first_instance_is_wanted_a_service_is_ready_without() -> None:
    async with cluster() as it:
        metadata = {"name": "config-autoscaler", "namespace": "knative-serving"}
        setting = {"metadata": metadata, "data": {"initial-scale": "0"}}
        it.store.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", **setting})
        it.apply()
        await it.settled()
        assert it.launcher.made == []


@pytest.mark.anyio
async def test_a_revision_is_its_template_and_says_whose_it_is() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        made = it.revision("hello-00001")
        assert made["spec"] == it.service["spec"]["template"]["spec"]
        uid = it.service["metadata"]["uid"]
        assert made["metadata"]["labels"] == {
            "serving.knative.dev/service": "hello",
            "serving.knative.dev/serviceUID": uid,
            "serving.knative.dev/configuration": "hello",
            "serving.knative.dev/configurationGeneration": "1",
        }
        assert made["metadata"]["ownerReferences"][0]["uid"] == uid


@pytest.mark.anyio
async def test_the_platforms_own_manifest_is_taken() -> None:
    async with cluster() as it:
        template = Template(image="a@sha256:" + "0" * 64, port=8080)
        wanted = manifests.Wanted(
            id=UUID(int=1),
            org_id=UUID(int=2),
            name="hello",
            namespace=NAMESPACE,
            generation=1,
            revision="hello-00001",
            template=template,
            traffic=tuple(all_to(LATEST)),
        )
        it.store.create(SERVICE, manifests.service(wanted))
        await it.settled()
        assert it.observed() == (ServiceStatus.READY, "", "", "hello-00001")
        assert manifests.replacement(it.service, manifests.service(wanted)) is None


@pytest.mark.anyio
async def test_a_container_that_crashes_fails_its_service() -> None:
    async with cluster(ready=False) as it:
        it.apply()
        await until(lambda: it.launcher.alive)
        it.launcher.made[0].fail("ExitCode3", "no database")
        await asyncio.sleep(0.02)
        assert said(it.revision("hello-00001"))["Ready"][0] == "Unknown"
        it.launcher.made[0].give_up("ExitCode3", "no database")
        await it.settled("RevisionFailed")
        message = "Container failed with: no database"
        conditions = said(it.revision("hello-00001"))
        assert conditions["ContainerHealthy"] == ("False", "ExitCode3", message)
        assert conditions["Ready"] == ("False", "ExitCode3", message)
        assert said(it.service)["ConfigurationsReady"][2] == (
            f'Revision "hello-00001" failed with message: {message}.'
        )
        assert said(it.service)["RoutesReady"][2] == (
            'Configuration "hello" does not have any ready Revision.'
        )
        status, reason, told, ready = it.observed()
        assert (status, reason, ready) == (ServiceStatus.FAILED, "ExitCode3", None)
        assert told.endswith("its last output:\nno database")
        assert it.launcher.happenings[-1] == ("failed", "ExitCode3")

        # One day the database is there.
        it.launcher.made[0].become_ready()
        await it.settled()
        assert it.observed() == (ServiceStatus.READY, "", "", "hello-00001")


@pytest.mark.anyio
async def test_an_image_that_cannot_be_pulled_fails_its_service() -> None:
    async with cluster(ready=False) as it:
        it.apply()
        await until(lambda: it.launcher.alive)
        it.launcher.made[0].give_up("ImagePullBackOff", "not found")
        await it.settled("RevisionFailed")
        conditions = said(it.revision("hello-00001"))
        assert conditions["ResourcesAvailable"] == ("False", "ImagePullBackOff", "not found")
        told = "the image could not be pulled: not found"
        assert it.observed() == (ServiceStatus.FAILED, "ImagePullFailed", told, None)


@pytest.mark.anyio
async def test_what_never_listens_fails_at_its_deadline() -> None:
    async with cluster(ready=False) as it:
        wanted = ksvc("hello-00001")
        annotations = wanted["spec"]["template"]["metadata"]["annotations"]
        annotations["serving.knative.dev/progress-deadline"] = "1s"
        it.store.create(SERVICE, wanted)
        await it.settled("RevisionFailed")
        conditions = said(it.revision("hello-00001"))
        assert conditions["ResourcesAvailable"][1] == "ProgressDeadlineExceeded"
        assert conditions["Active"][:2] == ("False", "TimedOut")
        assert it.observed()[:2] == (ServiceStatus.FAILED, "NotListening")
        await until(lambda: not it.launcher.alive)


@pytest.mark.anyio
async def test_while_a_second_revision_fails_the_first_serves() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        it.launcher.ready = False
        it.apply("hello-00002", image="b")
        await until(lambda: len(it.launcher.alive) == 2)
        assert said(it.service)["ConfigurationsReady"][0] == "Unknown"
        assert said(it.service)["RoutesReady"][0] == "True"
        assert it.routes_to() == "hello-00001"
        it.launcher.of("hello-00002").give_up("ExitCode1", "")
        await it.settled("RevisionFailed")
        status = it.service["status"]
        assert status["latestCreatedRevisionName"] == "hello-00002"
        assert status["latestReadyRevisionName"] == "hello-00001"
        assert said(it.revision("hello-00002"))["Ready"][2] == (
            "Container failed with: container exited with no error"
        )
        assert it.observed()[:2] == (ServiceStatus.FAILED, "ExitCode1")
        assert it.observed()[3] == "hello-00001"
        assert it.routes_to() == "hello-00001"


@pytest.mark.anyio
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


@pytest.mark.anyio
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


@pytest.mark.anyio
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


@pytest.mark.anyio
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


@pytest.mark.anyio
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


@pytest.mark.anyio
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


@pytest.mark.anyio
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


@pytest.mark.anyio
async def test_what_is_deleted_and_made_anew_at_once_is_another() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        it.store.delete(SERVICE, NAMESPACE, "hello")
        it.apply(image="b")
        await it.settled()
        assert it.revision("hello-00001")["spec"]["containers"][0]["image"] == "b"
        await until(lambda: [each.pod for each in it.launcher.alive] == ["hello-00001-1"])


@pytest.mark.anyio
async def test_a_revision_deleted_by_hand_comes_back() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        it.store.delete(REVISION, NAMESPACE, "hello-00001")
        await until(lambda: len(it.launcher.made) == 2 and it.launcher.made[0].stopped)
        await it.settled()
        assert it.routes_to() == "hello-00001"


@pytest.mark.anyio
async def test_only_some_revisions_without_traffic_are_kept() -> None:
    async with cluster() as it:
        for number in range(1, REVISIONS_KEPT + 4):
            name = f"hello-{number:05d}"
            it.apply(name, image=str(number))
            await it.settled(revision=name)
        await until(lambda: len(it.revisions) == REVISIONS_KEPT + 1)
        assert it.revisions[0] == "hello-00003"


@pytest.mark.anyio
async def test_a_condition_that_says_the_same_keeps_its_time() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        before = copy.deepcopy(it.service["status"]["conditions"])
        for condition in it.service["status"]["conditions"]:
            condition["lastTransitionTime"] = "2000-01-01T00:00:00Z"
        it.apply(labels={"a": "b"})
        it.apply(traffic=[{"latestRevision": True, "percent": 100, "tag": "x"}])
        await until(lambda: is_seen(it.service) and it.routes_to("x"))
        times = {each.pop("lastTransitionTime") for each in it.service["status"]["conditions"]}
        assert times == {"2000-01-01T00:00:00Z"}
        assert [
            each | {"lastTransitionTime": 0} for each in it.service["status"]["conditions"]
        ] == [each | {"lastTransitionTime": 0} for each in before]


@pytest.mark.anyio
async def test_at_rest_nothing_is_written() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        await asyncio.sleep(0.02)
        version = it.store.version
        await asyncio.sleep(0.7)
        assert it.store.version == version


@pytest.mark.anyio
async def test_a_service_inside_the_cluster_has_no_public_address() -> None:
    async with cluster() as it:
        it.apply(labels={"networking.knative.dev/visibility": "cluster-local"})
        await it.settled()
        assert it.service["status"]["url"] == "http://hello.default.svc.cluster.local"

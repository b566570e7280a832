"""How a service becomes ready or fails, and what its object says then."""

import asyncio
import copy
from uuid import UUID

import pytest

from maxcloud.knative import manifests
from maxcloud.models import ServiceStatus, Template
from maxcloud.traffic import LATEST, all_to
from maxcloud_local.kinds import CONFIG_MAP, SERVICE
from tests.local.cluster import cluster, is_seen, said
from tests.local.standins import NAMESPACE, ksvc, until

pytestmark = pytest.mark.anyio


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


async def test_where_no_first_instance_is_wanted_a_service_is_ready_without() -> None:
    async with cluster() as it:
        metadata = {"name": "config-autoscaler", "namespace": "knative-serving"}
        setting = {"metadata": metadata, "data": {"initial-scale": "0"}}
        it.store.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", **setting})
        it.apply()
        await it.settled()
        assert it.launcher.made == []


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


async def test_at_rest_nothing_is_written() -> None:
    async with cluster() as it:
        it.apply()
        await it.settled()
        await asyncio.sleep(0.02)
        version = it.store.version
        await asyncio.sleep(0.7)
        assert it.store.version == version


async def test_a_service_inside_the_cluster_has_no_public_address() -> None:
    async with cluster() as it:
        it.apply(labels={"networking.knative.dev/visibility": "cluster-local"})
        await it.settled()
        assert it.service["status"]["url"] == "http://hello.default.svc.cluster.local"

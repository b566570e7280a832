"""The platform's own functions: `status` and `reconcile` as processes, over a Kubernetes API."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from maxcloud import keys, system, upkeep
from maxcloud.events import PING
from maxcloud.store.database import Database
from maxcloud_local import kinds
from tests.conftest import FUNCTIONS, TestDatabase, served
from tests.functions.people import SECRET
from tests.functions.sink import Sink
from tests.functions.test_event_endpoints import hint
from tests.functions.test_runtime import RUNTIME, running
from tests.local.apiserver import ApiServer, an_object, api_in_the_background
from tests.store.support import execute
from tests.unit.test_own_functions import IMAGE, MANIFESTS

LOOK = "dev.maxcloud.deploy-requested"


@dataclass(frozen=True)
class Installation:
    """A cluster whose objects are this test's to change, and the functions that look at them."""

    cluster: ApiServer
    database: TestDatabase
    sink: Sink
    status: httpx.Client
    reconcile: httpx.Client

    def install(self, function: str, generation: int = 1, image: str = IMAGE) -> None:
        """Put a function there as Knative shows it once it is ready."""
        ksvc, store = copy.deepcopy(MANIFESTS[function]), self.cluster.store
        template, name = ksvc["spec"]["template"], f"{function}-{generation:05d}"
        template["spec"]["containers"][0]["image"] = image
        if store.find(kinds.SERVICE, system.NAMESPACE, function) is None:
            store.create(kinds.SERVICE, ksvc)
        else:
            store.replace(kinds.SERVICE, ksvc)
        number = {"serving.knative.dev/configurationGeneration": str(generation)}
        metadata = {"labels": number, "annotations": template["metadata"]["annotations"]}
        revision = an_object(
            kinds.REVISION, name, system.NAMESPACE, metadata=metadata, spec=template["spec"]
        )
        store.create(kinds.REVISION, revision)
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        resolved = {"containerStatuses": [{"imageDigest": image}]}
        store.set_status(kinds.REVISION, system.NAMESPACE, name, ready | resolved)
        live = store.get(kinds.SERVICE, system.NAMESPACE, function)
        seen = {
            "observedGeneration": live["metadata"]["generation"],
            "latestCreatedRevisionName": name,
            "latestReadyRevisionName": name,
            "traffic": [{"revisionName": name, "latestRevision": True, "percent": 100}],
        }
        store.set_status(kinds.SERVICE, system.NAMESPACE, function, ready | seen)

    def change(self, function: str, action: str = "update") -> int:
        """Tell `status` of a change as Knative does; return its answer."""
        data = {"kind": "Service", "name": function, "namespace": system.NAMESPACE}
        event = hint(f"dev.knative.apiserver.ref.{action}") | {"content": json.dumps(data)}
        return self.status.post("/", **event).status_code

    def swept(self) -> list[dict[str, Any]]:
        """Let a sweep come to its end; return the hints that it published."""
        assert self.reconcile.post("/", **hint(PING)).status_code == 204
        return [data for _, data in self.sink.drained()]

    def rows(self) -> list[tuple[Any, ...]]:
        query = (
            "select name, generation, status, image, latest_revision, xmin::text"
            " from services where org_id = %s order by name"
        )
        return execute(self.database.owner, query, system.ORG_ID)


@pytest.fixture
def installation(database: TestDatabase, tmp_path: Path) -> Iterator[Installation]:
    with ExitStack() as stack:
        sink = Sink()
        broker = stack.enter_context(served(sink))
        cluster = stack.enter_context(api_in_the_background(tmp_path))
        cluster.store.create(kinds.NAMESPACE, an_object(kinds.NAMESPACE, system.NAMESPACE))
        clients = [
            stack.enter_context(
                running(
                    RUNTIME,
                    FUNCTION_TARGET=name,
                    FUNCTION_SOURCE=str(FUNCTIONS / f"{name}.py"),
                    DATABASE_URL=database.worker,
                    K_SINK=broker,
                    KUBECONFIG=str(cluster.kubeconfig),
                )
            )
            for name in ("status", "reconcile")
        ]
        yield Installation(cluster, database, sink, *clients)


def test_the_rows_of_functions_follow_the_cluster(installation: Installation) -> None:
    for function in ("services", "status"):
        installation.install(function)
        assert installation.change(function, "add") == 204
    first = installation.rows()
    assert [row[:5] for row in first] == [
        (name, 1, "ready", IMAGE, f"{name}-00001") for name in ("services", "status")
    ]
    assert installation.change("services") == 204
    assert installation.rows() == first

    another = IMAGE.replace("aa", "bb")
    installation.install("services", 2, another)
    assert installation.change("services") == 204
    [services, status] = installation.rows()
    assert services[:5] == ("services", 2, "ready", another, "services-00002")
    assert status == first[1]
    history = "select name, image, created_by from revisions where service_id = %s order by 1"
    kept = execute(installation.database.owner, history, system.service_id("services"))
    assert kept == [
        ("services-00001", IMAGE, "platform install"),
        ("services-00002", another, "platform install"),
    ]
    installation.cluster.store.delete(kinds.SERVICE, system.NAMESPACE, "services")
    assert installation.change("services", "delete") == 204
    assert installation.rows() == [status]
    assert execute(installation.database.owner, "select 1 from tombstones") == []


def test_a_sweep_asks_for_another_look_and_writes_nothing(installation: Installation) -> None:
    installation.install("services")
    installation.install("auth")
    assert installation.change("auth") == 204
    [told] = installation.swept()
    assert told == {
        "id": str(system.service_id("services")),
        "org_id": str(system.ORG_ID),
        "name": "services",
        "generation": 1,
    }
    event = hint() | {"content": json.dumps(told)}
    before = installation.cluster.store.version
    assert installation.reconcile.post("/", **event).status_code == 204
    assert installation.status.post("/hints", **event).status_code == 204
    assert [row[:3] for row in installation.rows()] == [
        ("auth", 1, "ready"),
        ("services", 1, "ready"),
    ]
    assert installation.swept() == []
    assert installation.cluster.store.version == before

    # An event was lost: what changed, and what is gone, is looked at again.
    installation.install("auth", 2)
    installation.cluster.store.delete(kinds.SERVICE, system.NAMESPACE, "services")
    assert sorted(data["name"] for data in installation.swept()) == ["auth", "services"]


def test_a_look_goes_on_until_a_function_has_settled(installation: Installation) -> None:
    installation.install("services")
    store, place = installation.cluster.store, (system.NAMESPACE, "services")
    ready = store.get(kinds.SERVICE, *place)["status"]
    store.set_status(kinds.SERVICE, *place, {**ready, "conditions": []})
    told = {"id": str(system.service_id("services")), "org_id": str(system.ORG_ID)}
    event = hint() | {"content": json.dumps(told | {"name": "services"})}
    assert installation.status.post("/hints", **event).status_code == 503
    assert [row[1:3] for row in installation.rows()] == [(1, "pending")]
    store.set_status(kinds.SERVICE, *place, ready)
    assert installation.status.post("/hints", **event).status_code == 204
    assert [row[1:3] for row in installation.rows()] == [(1, "ready")]


@pytest.mark.parametrize("name", [None, "", "shop", "../namespaces", "services/../auth"])
def test_a_forged_hint_looks_at_nothing(installation: Installation, name: str | None) -> None:
    installation.install("services")
    data = {"id": str(system.service_id(name or "")), "org_id": str(system.ORG_ID), "name": name}
    event = hint() | {"content": json.dumps(data)}
    for client, path in ((installation.status, "/hints"), (installation.reconcile, "/")):
        assert client.post(path, **event).status_code == 204
    assert installation.rows() == []


def test_a_strange_object_in_the_platforms_namespace_is_nobodys(
    installation: Installation,
) -> None:
    installation.install("services")
    assert installation.change("services") == 204
    labels = {**MANIFESTS["services"]["metadata"]["labels"]}
    strange = {"metadata": {"labels": labels}, "spec": MANIFESTS["services"]["spec"]}
    for name in ("shop", "auth"):
        installation.cluster.store.create(
            kinds.SERVICE, an_object(kinds.SERVICE, name, system.NAMESPACE, **strange)
        )
        assert installation.change(name) == 204
    assert installation.swept() == []
    assert [row[0] for row in installation.rows()] == ["services"]
    assert len(installation.cluster.store.all(kinds.SERVICE)) == 3


@pytest.mark.anyio
async def test_an_installation_gives_a_key_and_has_its_functions_looked_at(
    database: TestDatabase,
) -> None:
    sink, db, key = Sink(), Database(database.worker), keys.make()
    prefix, digest = str(keys.prefix_of(key)), keys.digest(key, SECRET)
    with served(sink) as broker:
        said = await upkeep.adopt(db, broker, prefix, digest, ["services", "auth"])
        again = await upkeep.adopt(db, broker, prefix, digest, ["services", "auth"])
    assert said == again == {"done": ["services", "auth"]}
    told = sink.drained()
    assert {headers["ce-type"] for headers, _ in told} == {LOOK}
    assert {data["org_id"] for _, data in told} == {str(system.ORG_ID)}
    assert [data["name"] for _, data in told] == ["services", "auth"] * 2
    # Without a broker the next sweep says it.
    assert await upkeep.adopt(db, None, prefix, digest, ["services"]) == {"done": []}
    await db.close()
    assert execute(database.owner, "select prefix, role from api_keys") == [(prefix, "read")]
    assert key not in json.dumps([data for _, data in told])

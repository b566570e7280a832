"""Handlers that meet, die and come twice: the cluster and the rows agree afterwards."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from maxcloud.config import DEV_ORG_ID, Config
from maxcloud.errors import TemporaryError
from maxcloud.events import CLUSTER_CHANGES, PING, Type
from maxcloud.models import DeployRequest, ServiceStatus, UpdateRequest
from maxcloud.reconciling.endings import let_go
from maxcloud.reconciling.services import apply, converge
from maxcloud.store import convergence, services
from maxcloud.store.database import Database
from maxcloud.store.services import ServiceRow
from tests.cluster.environment import ROOT, kubectl
from tests.cluster.inside import database_url
from tests.journeys.platform import Platform, eventually
from tests.knative.conftest import Broker, call_with, ksvc

pytestmark = pytest.mark.anyio


async def deployed(db: Database, name: str, web: tuple[str, str]) -> ServiceRow:
    """A row whose image is resolved, of which no event was ever published."""
    wanted = DeployRequest(name=name, image=web[0], env_vars={"N": "1"})
    row = await services.create(db, DEV_ORG_ID, wanted, by="tests")
    return await resolved(db, row, web)


async def changed(db: Database, name: str, web: tuple[str, str], n: int) -> ServiceRow:
    patch = UpdateRequest(env_vars={"N": str(n)})
    row = await services.update(db, DEV_ORG_ID, name, patch, by="tests")
    return row if row.digest else await resolved(db, row, web)


async def resolved(db: Database, row: ServiceRow, web: tuple[str, str]) -> ServiceRow:
    found = await convergence.image_resolved(db, row, web[1], 80)
    assert found is not None
    return found


async def settled(db: Database, row: ServiceRow) -> ServiceRow:
    for _ in range(240):
        now = await convergence.load(db, DEV_ORG_ID, row.id)
        if now is not None and now.is_settled:
            return now
        await asyncio.sleep(0.25)
    raise AssertionError(f"never settled: {now}")


def in_cluster(name: str) -> tuple[str, str]:
    """The generation and the value of N that the cluster has."""
    live: Any = ksvc(name)
    [container] = live["spec"]["template"]["spec"]["containers"]
    generation = live["metadata"]["annotations"]["maxcloud.dev/generation"]
    return generation, {e["name"]: e["value"] for e in container["env"]}["N"]


class Pausing(Database):
    """Waits after its nth transaction until it may go on."""

    def __init__(self, url: str, after: int) -> None:
        super().__init__(url)
        self._left = after
        self.paused, self.go_on = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def tenant(self, org_id: UUID) -> AsyncIterator[AsyncConnection]:
        async with super().tenant(org_id) as connection:
            yield connection
        self._left -= 1
        if self._left == 0:
            self.paused.set()
            await self.go_on.wait()


async def test_an_older_generation_never_overwrites_a_newer(
    db: Database, config: Config, name: str, web: tuple[str, str]
) -> None:
    first = await deployed(db, name, web)
    # Load 1 and all its writes up to the cluster; there it waits.
    slow = Pausing(database_url("worker"), after=2)
    late = asyncio.create_task(apply(call_with(slow, config), first))
    await asyncio.wait_for(slow.paused.wait(), 10)
    # Load 2, apply 2.
    second = await changed(db, name, web, 2)
    await apply(call_with(db, config), second)
    # Apply 1.
    slow.go_on.set()
    await late
    await slow.close()

    assert in_cluster(name) == ("2", "2")
    row = await settled(db, second)
    assert (row.status, row.ready_revision) == (ServiceStatus.READY, f"{name}-00002")


async def test_a_late_create_is_looked_at_again(
    db: Database, config: Config, name: str, web: tuple[str, str]
) -> None:
    first = await deployed(db, name, web)
    slow = Pausing(database_url("worker"), after=2)
    late = asyncio.create_task(apply(call_with(slow, config), first))
    await asyncio.wait_for(slow.paused.wait(), 10)
    # The row comes to its end before the handler creates the object.
    gone = await services.mark_deleting(db, DEV_ORG_ID, name, by="tests")
    await let_go(call_with(db, config), gone)
    slow.go_on.set()
    with pytest.raises(TemporaryError):
        await late
    await slow.close()
    assert in_cluster(name) == ("1", "1")

    # The broker delivers the hint again: there is a tombstone, so what came late goes.
    await converge(call_with(db, config), first.hint())
    assert name not in kubectl("get", "ksvc", "-n", "default", "-o", "name")
    assert await convergence.load(db, DEV_ORG_ID, first.id) is None


DYING = """
import asyncio, os, signal, sys
from contextlib import asynccontextmanager
from uuid import UUID

from maxcloud.config import DEV_ORG_ID
from maxcloud.hints import ServiceHint
from maxcloud.reconciling.services import converge
from maxcloud.store.database import Database
from tests.conftest import dev_config
from tests.knative.conftest import call_with

url, service, before = sys.argv[1:]

class Dying(Database):
    left = int(before)

    @asynccontextmanager
    async def tenant(self, org_id):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        async with super().tenant(org_id) as connection:
            yield connection

hint = ServiceHint(id=UUID(service), org_id=DEV_ORG_ID)
asyncio.run(converge(call_with(Dying(url), dev_config()), hint))
"""


# Its writes: choose the revision, keep its name, (the cluster,) write back.
@pytest.mark.parametrize("before", [1, 2, 3], ids=["choose", "keep", "write-back"])
async def test_a_handler_that_is_killed_is_made_good(
    db: Database, config: Config, name: str, web: tuple[str, str], before: int
) -> None:
    row = await deployed(db, name, web)
    command = [sys.executable, "-c", DYING, database_url("worker"), str(row.id), str(before)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)  # noqa: ASYNC221
    assert killed.returncode == -9, killed.stderr.decode()
    there = name in kubectl("get", "ksvc", "-n", "default", "-o", "name")
    assert there == (before == 3)

    await converge(call_with(db, config), row.hint())
    assert in_cluster(name) == ("1", "1")
    row = await settled(db, row)
    assert (row.status, row.ready_revision) == (ServiceStatus.READY, f"{name}-00001")


async def test_events_three_times_and_in_reverse(
    db: Database, name: str, web: tuple[str, str], broker: Broker, platform: Platform
) -> None:
    rows = [await deployed(db, name, web)]
    for n in (2, 3, 4):
        rows.append(await changed(db, name, web, n))
    hints = [row.hint().model_dump(mode="json") for row in rows]
    for hint in 3 * list(reversed(hints)):
        broker.publish(Type.DEPLOY_REQUESTED, hint)

    row = await settled(db, rows[-1])
    assert (row.status, row.ready_revision) == (ServiceStatus.READY, f"{name}-00004")
    assert in_cluster(name) == ("4", "4")
    made = platform.api("GET", f"/api/v1/services/{name}/revisions").json()
    assert [revision["name"] for revision in made] == [f"{name}-00004"]
    # Deleted in the same manner: three times, a late deploy among them.
    platform.api("DELETE", f"/api/v1/services/{name}")
    for type in 3 * (Type.DELETE_REQUESTED, Type.DEPLOY_REQUESTED):
        broker.publish(type, hints[-1])
    eventually(
        "the service",
        lambda: (
            platform.api("GET", f"/api/v1/services/{name}").status_code,
            name in kubectl("get", "ksvc", "-n", "default", "-o", "name"),
        ),
        60,
        lambda seen: seen == (404, False),
    )


async def test_an_object_deleted_by_hand_comes_back(
    name: str, web: tuple[str, str], platform: Platform
) -> None:
    url = platform.maxcloud("deploy", web[0], "--name", name).out.strip()
    made = kubectl("get", "ksvc", name, "-n", "default", "-o", "jsonpath={.metadata.uid}")
    kubectl("delete", "ksvc", name, "-n", "default")
    again = ("get", "ksvc", name, "-n", "default", "--ignore-not-found")
    uid = ("-o", "jsonpath={.metadata.uid}")
    eventually("the object", lambda: kubectl(*again, *uid), 60, lambda new: new not in {"", made})
    eventually("the page", lambda: platform.get(url).text, 60, lambda page: page == "version 1")
    eventually(
        "the row",
        lambda: platform.api("GET", f"/api/v1/services/{name}").json(),
        60,
        lambda row: (row["status"], row["ready_revision"]) == ("ready", f"{name}-00001"),
    )


async def test_the_late_end_of_an_object_that_is_there_again_changes_nothing(
    name: str, web: tuple[str, str], broker: Broker, platform: Platform
) -> None:
    platform.maxcloud("deploy", web[0], "--name", name)
    before = platform.api("GET", f"/api/v1/services/{name}").json()
    there = {"kind": "Service", "name": name, "namespace": "default"}
    late = broker.publish(f"{CLUSTER_CHANGES}delete", there, kind="Service")
    eventually("the event", lambda: handled("status", late), 60, lambda times: times == 1)
    assert platform.api("GET", f"/api/v1/services/{name}").json() == before


def cluster_writes() -> int:
    """How many writes of Knative Services the Kubernetes API has answered."""
    lines = kubectl("get", "--raw", "/metrics").splitlines()
    ours = [line for line in lines if line.startswith("apiserver_request_total{")]
    ours = [line for line in ours if 'group="serving.knative.dev",resource="services"' in line]
    written = [
        line
        for line in ours
        if 'subresource=""' in line and any(f'verb="{v}"' in line for v in WRITES)
    ]
    return sum(int(float(line.rpartition(" ")[2])) for line in written)


WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION")


async def test_a_sweep_over_converged_rows_writes_nothing(
    db: Database, name: str, web: tuple[str, str], broker: Broker, platform: Platform
) -> None:
    platform.maxcloud("deploy", web[0], "--name", name)
    before = cluster_writes()
    assert before > 0
    swept = broker.publish(PING, {})
    eventually("the sweep", lambda: handled("reconcile", swept), 60, lambda times: times == 1)
    assert cluster_writes() == before

    # It does write where something is amiss: the object changed by hand, the hint lost.
    kubectl("annotate", "ksvc", name, "-n", "default", "maxcloud.dev/generation=0", "--overwrite")
    patch = '{"spec": {"traffic": [{"latestRevision": true, "percent": 100, "tag": "stray"}]}}'
    kubectl("patch", "ksvc", name, "-n", "default", "--type=merge", "-p", patch)
    broker.publish(PING, {})
    eventually("the traffic", lambda: ksvc(name)["spec"], 60, lambda spec: "stray" not in str(spec))


def handled(function: str, event_id: str) -> int:
    """How often a function's living instances say that they handled an event."""
    label = f"serving.knative.dev/service={function}"
    options = ("-c", "user-container", "--tail=-1", "--prefix=false")
    said = kubectl("logs", "-n", "mc-system", "-l", label, *options)
    return sum(event_id in line and '"handled"' in line for line in said.splitlines())

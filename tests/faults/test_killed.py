"""A function is killed: at each step of its work, and while much is under way."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from maxcloud.config import DEV_ORG_ID
from maxcloud.models import DeployRequest, UpdateRequest
from maxcloud.store import convergence, services
from maxcloud.store.database import Database
from maxcloud.store.services import ServiceRow
from tests.conftest import served
from tests.faults.faults import sources_away
from tests.faults.journal import SMALL, Journal, Told
from tests.faults.report import Report
from tests.faults.target import Target
from tests.ports import free_port

DYING = [sys.executable, "-m", "tests.faults.dying"]

# Later than any step.
NEVER = 99

Work = Callable[[Database], Awaitable[ServiceRow]]


def environment(target: Target, role: str, **more: str) -> dict[str, str]:
    """What a function of this platform is started with, beside what it inherits from a test."""
    path = "/api/v1/namespaces/mc-system/configmaps/platform"
    settings: dict[str, str] = target.backend.read(path)["data"]
    url, kubeconfig = target.backend.database(role), str(target.backend.kubeconfig)
    return {**os.environ, **settings, "DATABASE_URL": url, "KUBECONFIG": kubeconfig, **more}


@contextmanager
def dying(environment: dict[str, str], function: str, jobs: Sequence[str]) -> Iterator[list[int]]:
    """Start a function for each job and yield the process ids; all must have ended after it.

    Within the block the ids stand in the list, afterwards the exit codes do.
    """
    command = [*DYING, function, *jobs]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        found: list[int] = json.loads(parent.stdout.readline())
        try:
            yield found
        except BaseException:
            for pid in found:
                os.kill(pid, signal.SIGKILL)
            raise
        found[:] = json.loads(parent.stdout.readline())


def follow(target: Target, function: str, jobs: Sequence[tuple[ServiceRow, int]]) -> list[bool]:
    """Let a function follow a hint about each row; tell which was killed at its step."""
    named = [f"{step}:{row.id}" for row, step in jobs]
    with dying(environment(target, "mc_worker"), function, named) as ended:
        pass
    assert set(ended) <= {0, -signal.SIGKILL}
    return [code == -signal.SIGKILL for code in ended]


def die_at_each_step(target: Target, function: str, made: Sequence[ServiceRow]) -> None:
    """Let a function die at each step of as many as there are rows, but for the last row."""
    killed = follow(target, function, [(row, step) for step, row in enumerate(made, start=1)])
    assert killed == [True] * (len(made) - 1) + [False]


class Rows:
    """Writes rows as the API does, of which nobody is told."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.target_image = target.backend.image
        # What the registry says of the image: a service that is there has asked already.
        assert target.journal.create("model", self.target_image).status == 201
        target.agrees()
        query = "select digest, exposed_port from services where name = 'model'"
        [self._image] = target.rows(query)

    def created(self, name: str) -> ServiceRow:
        async def create(db: Database) -> ServiceRow:
            wanted = DeployRequest(
                name=name, image=self.target_image, env_vars={"N": name}, **SMALL
            )
            row = await services.create(db, DEV_ORG_ID, wanted, by="tests")
            found = await convergence.image_resolved(
                db, row, self._image["digest"], self._image["exposed_port"]
            )
            assert found is not None
            return found

        return self._do(create)

    def changed(self, name: str) -> ServiceRow:
        patch = UpdateRequest(env_vars={"N": "changed"})
        return self._do(lambda db: services.update(db, DEV_ORG_ID, name, patch, by="tests"))

    def deleting(self, name: str) -> ServiceRow:
        return self._do(lambda db: services.mark_deleting(db, DEV_ORG_ID, name, by="tests"))

    def _do(self, work: Work) -> ServiceRow:
        async def done() -> ServiceRow:
            db = Database(self._target.backend.database("mc_worker"))
            try:
                return await work(db)
            finally:
                await db.close()

        return asyncio.run(done())


@pytest.fixture(scope="module")
def rows(target: Target) -> Rows:
    return Rows(target)


ACTIONS = ("create", "patch", "delete")


def test_reconcile_is_killed_at_each_step(target: Target, rows: Rows, report: Report) -> None:
    # It chooses a revision, keeps its name, (writes to the cluster,) keeps that.
    die_at_each_step(target, "reconcile", [rows.created(f"made-{n}") for n in range(7)])
    there = [rows.created(f"changed-{n}") for n in range(7)]
    target.sweep()
    target.agrees()
    die_at_each_step(target, "reconcile", [rows.changed(row.name) for row in there])
    # It removes a row whose object is gone.
    never_there = [rows.created(f"removed-{n}") for n in range(3)]
    die_at_each_step(target, "reconcile", [rows.deleting(row.name) for row in never_there])
    target.sweep()
    report("reconcile killed at each of 14 steps", target.agrees())


def test_status_is_killed_at_each_step(target: Target, rows: Rows, report: Report) -> None:
    ready = [rows.created(f"seen-{n}") for n in range(5)]
    gone = [rows.created(f"gone-{n}") for n in range(3)]
    with sources_away(target):
        # Nobody but us tells the cluster, and nobody but us sees what becomes of it.
        follow(target, "reconcile", [(row, NEVER) for row in ready + gone])
        names = {row.name for row in ready + gone}
        target.until("ready", lambda: names <= ready_names(target))
        # It keeps that the revision was ready, and what it saw.
        die_at_each_step(target, "status", ready)
        gone = [rows.deleting(row.name) for row in gone]
        follow(target, "reconcile", [(row, NEVER) for row in gone])
        die_at_each_step(target, "status", gone)
    target.sweep()
    report("status killed at each of 6 steps", target.agrees())


def ready_names(target: Target) -> set[str]:
    return {
        each["metadata"]["name"]
        for each in target.objects()
        for condition in each.get("status", {}).get("conditions", [])
        if (condition["type"], condition["status"]) == ("Ready", "True")
    }


def answers(journal: Journal) -> bool:
    try:
        return journal.get("/healthz").status_code == 200
    except httpx.ConnectError:
        return False


def sent(journal: Journal, action: str, name: str, image: str) -> Told:
    """Let a client write."""
    if action == "create":
        return journal.create(name, image)
    return journal.patch(name, args=["a"]) if action == "patch" else journal.delete(name)


def test_services_is_killed_at_each_step(target: Target, report: Report) -> None:
    image = target.backend.image
    steps = {"written": 1, "committed": 2, "answered": NEVER}
    cases = [(action, at) for action in ACTIONS for at in steps]
    for action, at in cases:
        if action != "create":
            target.journal.create(f"{action}-{at}", image)
    target.agrees()

    victims: dict[str, int] = {}

    async def broker(scope: Scope, receive: Receive, send: Send) -> None:
        """Kill whoever publishes."""
        event = await Request(scope, receive).json()
        os.kill(victims[event["name"]], signal.SIGKILL)
        await Response(status_code=202)(scope, receive, send)

    def write(action: str, at: str, port: int) -> Told:
        journal = Journal(f"http://127.0.0.1:{port}")
        target.until("the function", lambda: answers(journal), 30)
        told = sent(journal, action, f"{action}-{at}", image)
        journal.close()
        return told

    ports = [free_port() for _ in cases]
    jobs = [f"{steps[at]}:{port}" for (_, at), port in zip(cases, ports, strict=True)]
    with (
        served(broker) as sink,
        dying(environment(target, "mc_api", K_SINK=sink), "services", jobs) as ended,
        ThreadPoolExecutor(len(cases)) as clients,
    ):
        victims |= {"-".join(case): pid for case, pid in zip(cases, ended, strict=True)}
        told = list(clients.map(write, *zip(*cases, strict=True), ports))
    assert ended == [-signal.SIGKILL] * len(cases)
    target.journal.told += told
    for each, (_, at) in zip(told, cases, strict=True):
        assert each.is_done == (at == "answered"), each
    # What was committed and never answered may be there; what was not committed is not.
    assert target.rows("select 1 from services where name = 'create-written'") == []
    target.sweep()
    report("services killed at each of 9 steps", target.agrees())


@pytest.mark.parametrize("function", ["reconcile", "status", "services"])
def test_a_function_is_killed_while_much_is_under_way(
    target: Target, report: Report, function: str
) -> None:
    names = [f"busy-{function}-{number}" for number in range(8)]
    with ThreadPoolExecutor(4) as clients:
        for name in names[:4]:
            assert target.journal.create(name, target.backend.image).is_done
        writes = [clients.submit(sent, target.journal, "patch", name, "") for name in names[:4]]
        writes += [
            clients.submit(target.journal.create, name, target.backend.image) for name in names[4:]
        ]
        target.until("a process", lambda: target.kill(function), 30)
        for write in writes:
            assert write.result().status in {200, 201, 502, None}
    target.sweep()
    report(f"{function} killed while much is under way", target.agrees())

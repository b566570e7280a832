"""A function that is killed at a step of its work, as often as it is asked for.

`python -m tests.faults.dying <reconcile|status> <step>:<service>…` follows a hint about each
service, `… services <step>:<port>…` serves on each port. Every one is a process of its own; their
ids are printed at once, and how they ended in the end. Each transaction that writes has two steps:
just before it is committed, and after. What is written to the cluster comes between them.
"""

import asyncio
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import uvicorn
from psycopg import AsyncConnection
from starlette.requests import Request

from maxcloud.calls import Call
from maxcloud.config import DEV_ORG_ID, Config
from maxcloud.errors import TemporaryError
from maxcloud.events import Event, Type
from maxcloud.hints import ServiceHint
from maxcloud.http import Api
from maxcloud.store.database import Database

FUNCTIONS = Path(__file__).parents[2] / "functions"


class Dying(Database):
    """A database whose user is killed at a step."""

    def __init__(self, url: str, steps: int) -> None:
        super().__init__(url)
        self._left = steps

    @asynccontextmanager
    async def tenant(self, org_id: UUID) -> AsyncIterator[AsyncConnection]:
        async with super().tenant(org_id) as connection:
            yield connection
            self._step()
        self._step()

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def follow(api: Api, config: Config, step: int, service: str) -> None:
    """Hand a function a hint about a service, as the broker does."""
    db = Dying(config.database_url, step)
    call = Call(Request({"type": "http", "headers": []}), config, db, api.function)
    data = ServiceHint(id=UUID(service), org_id=DEV_ORG_ID).model_dump(mode="json")
    event = Event("1", "/tests", Type.DEPLOY_REQUESTED, service, data)
    handler = api._event_handlers[{"reconcile": "/", "status": "/hints"}[api.function]]
    with suppress(TemporaryError):  # the broker would bring it again
        await handler(call, event)
    await db.close()


def serve(api: Api, config: Config, step: int, port: int) -> None:
    """Serve a function until it is killed."""
    app = api.build(config, Dying(config.database_url, step))
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None)


def born(api: Api, config: Config, job: str) -> int:
    """Start one that does this job, and return its process id."""
    step, _, subject = job.partition(":")
    if pid := os.fork():
        return pid
    try:
        if api.function == "services":
            serve(api, config, int(step), int(subject))
        else:
            asyncio.run(follow(api, config, int(step), subject))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    function, *jobs = sys.argv[1:]
    sys.path.insert(0, str(FUNCTIONS))
    api: Api = importlib.import_module(function).api
    config = Config.from_env(os.environ)
    pids = [born(api, config, job) for job in jobs]
    print(json.dumps(pids), flush=True)
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    print(json.dumps(ends), flush=True)


if __name__ == "__main__":
    main()

"""Logs: what the instances of a service write, as server-sent events.

`log` is a line, with the id that `Last-Event-ID` resumes from; `instance` says that one is there,
becomes ready or goes. `end`: there is no more; `farewell`: the next connection goes on.
"""

from typing import Any

from functions_framework.aio import http
from starlette.requests import Request

from maxcloud.calls import Call
from maxcloud.errors import InvalidField
from maxcloud.http import Api
from maxcloud.logs.answer import LogStream, Streams, Wanted, sent_with
from maxcloud.logs.query import LogsQuery
from maxcloud.roles import Role
from maxcloud.store import revisions
from maxcloud.store import services as rows

api = Api("logs", needs_secret=True)


@http
async def logs(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.get("/api/v1/logs/{id}", Role.READ)
async def stream_logs(call: Call, query: LogsQuery) -> LogStream:
    """Show what a service's instances wrote, and with `follow` what they write from now on."""
    return await _stream(call, query)


@api.get("/api/v1/services/{id}/logs", Role.READ)
async def stream_logs_of_service(call: Call, query: LogsQuery) -> LogStream:
    """Show the same to who accepts `text/event-stream`, and nothing else."""
    return await _stream(call, query)


async def _stream(call: Call, query: LogsQuery) -> LogStream:
    row = await rows.get(call.db, call.org_id, call.parameter("id"))
    if query.revision and not await revisions.named(call.db, row, {query.revision}):
        raise InvalidField("revision is not one of this service's", field="revision")
    namespace = call.config.namespace_of(row.org_id)
    wanted = Wanted(call.db, row, namespace, query, sent_with(call.request))
    return await Streams.of(call.request).answer(wanted)

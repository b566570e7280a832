"""Reconcile: bring the cluster to what the rows say.

A handler loads the row that its event names, decides, applies, and writes back guarded by the
generation it loaded. So lost, doubled, reordered and interleaved events do no harm.
"""

import json
import re
from typing import Any

from functions_framework.aio import http
from starlette.requests import Request

from maxcloud.calls import Call
from maxcloud.errors import PermanentError
from maxcloud.events import PING, Event, Type, read_data
from maxcloud.hints import Hint, ServiceHint
from maxcloud.http import Api
from maxcloud.reconciling.organisations import isolate
from maxcloud.reconciling.services import converge
from maxcloud.reconciling.sweep import sweep
from maxcloud.store import dead_letters

api = Api("reconcile")


@http
async def reconcile(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.events("/")
async def on_event(call: Call, event: Event) -> None:
    """Take a hint about one service, or the timer's about all of them."""
    if event.type == PING:
        await sweep(call)
    elif event.type == Type.ORG_CREATED:
        await isolate(call, read_data(event, Hint).org_id)
    elif event.type in {Type.DEPLOY_REQUESTED, Type.DELETE_REQUESTED}:
        await converge(call, read_data(event, ServiceHint))
    else:
        raise PermanentError(f"no handler for {event.type}")


@api.events("/dead-letters")
async def on_dead_letter(call: Call, event: Event) -> None:
    """Keep an event that its handler would not take."""
    said = event.extensions
    code = said.get("knativeerrorcode", "")
    letter = dead_letters.DeadLetter(
        event_id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        destination=said.get("knativeerrordest", ""),
        code=int(code) if re.fullmatch("[1-5][0-9]{2}", code) else None,
        headers=said,
        body=json.dumps(event.data, default=str),
    )
    await dead_letters.keep(call.db, letter)

"""What the mailer is told, and what became of an invitation by it."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx

from tests.conftest import TestDatabase
from tests.store.support import execute

BOB = "bob@example.test"
INVITED, REGISTERED = "dev.maxcloud.invite-created", "dev.maxcloud.user-registered"
PING = "dev.knative.sources.ping"

Serve = Callable[..., Any]


def tell(client: httpx.Client, type: str, id: UUID | str, org_id: UUID | str) -> int:
    """Deliver an event and return what the mailer answers."""
    data = None if type == PING else {"id": str(id), "org_id": str(org_id)}
    headers = {
        "ce-specversion": "1.0",
        "ce-id": f"{id}:1:{type}",
        "ce-source": "/test",
        "ce-type": type,
        "content-type": "application/json",
    }
    answer = client.post("/", headers=headers, content=json.dumps(data))
    assert answer.content == b""
    return answer.status_code


def sweep(client: httpx.Client) -> int:
    return tell(client, PING, "sweep", "")


def state(database: TestDatabase, id: UUID) -> tuple[bool, str | None]:
    query = "select mail_sent_at is not null, mail_error from invitations where id = %s"
    [(is_sent, error)] = execute(database.owner, query, id)
    return is_sent, error

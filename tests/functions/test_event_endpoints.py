"""Where events arrive: the answer is a status and never a body."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from maxcloud.config import DEV_ORG_ID
from maxcloud.events import PING
from maxcloud.http import Api
from maxcloud.store.database import Database
from tests.conftest import TestDatabase, dev_config, served
from tests.functions.sink import Sink
from tests.store.support import execute

Deliver = Callable[[dict[str, Any]], httpx.Response]

DEPLOY = "dev.maxcloud.deploy-requested"

# Rows whose hints were lost some time ago.
WAITING = """
    insert into services (org_id, name, image, port, updated_by, next_attempt_at)
    select %s, name, 'nginx', 80, 'tests', now() - interval '1 minute'
    from unnest(%s::text[]) as name
"""


def hint(type: str = DEPLOY, **changes: Any) -> dict[str, Any]:
    """A hint about a service that never was, as keyword arguments of a request."""
    data = {"id": str(uuid.uuid4()), "org_id": str(uuid.uuid4()), "name": "gone", "generation": 1}
    headers = {
        "ce-specversion": "1.0",
        "ce-id": f"{data['id']}:1:{type}",
        "ce-source": "/maxcloud/services",
        "ce-type": type,
        "content-type": "application/json",
    }
    return {"headers": headers, "content": json.dumps(data | changes)}


def structured(**changes: Any) -> dict[str, Any]:
    event = {"specversion": "1.0", "id": "1", "source": "/x", "type": DEPLOY, "data": {}}
    body = {key: value for key, value in (event | changes).items() if value is not ...}
    return {
        "headers": {"content-type": "application/cloudevents+json"},
        "content": json.dumps(body),
    }


def without(header: str) -> dict[str, Any]:
    event = hint()
    del event["headers"][header]
    return event


def with_body(content: bytes) -> dict[str, Any]:
    return hint() | {"content": content}


@pytest.fixture(scope="module")
def addresses(apis: dict[str, Api], untouched: TestDatabase) -> Iterator[dict[str, str]]:
    """Where each consumer is served."""
    with ExitStack() as stack:
        found = {}
        for name in ("reconcile", "status"):
            db = Database(untouched.worker)
            app: ASGIApp = apis[name].build(dev_config(), db)
            found[name] = stack.enter_context(served(app, after=db.close))
        yield found


@pytest.fixture(params=["reconcile /", "status /hints"])
def deliver(request: pytest.FixtureRequest, addresses: dict[str, str]) -> Deliver:
    """Hand an event to a path that takes hints about services."""
    function, path = request.param.split()
    return lambda event: httpx.post(addresses[function] + path, **event)


@pytest.fixture
def reconcile(apis: dict[str, Api], database: TestDatabase) -> Iterator[httpx.Client]:
    db = Database(database.worker)
    app = apis["reconcile"].build(dev_config(), db)
    with served(app, after=db.close) as url, httpx.Client(base_url=url) as client:
        yield client


def test_a_hint_about_what_never_was_is_handled(deliver: Deliver) -> None:
    for type in (DEPLOY, "dev.maxcloud.delete-requested"):
        answer = deliver(hint(type))
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-type" not in answer.headers


def test_a_structured_event_is_handled_too(deliver: Deliver) -> None:
    answer = deliver(structured(data=json.loads(hint()["content"])))
    assert (answer.status_code, answer.content) == (204, b"")


MALFORMED = {
    "nothing": {},
    "no event": {"json": {"name": "shop"}},
    "no id": without("ce-id"),
    "no source": without("ce-source"),
    "no type": without("ce-type"),
    "no specversion": without("ce-specversion"),
    "unknown specversion": hint() | {"headers": hint()["headers"] | {"ce-specversion": "9"}},
    "no data": with_body(b""),
    "data that is no JSON": with_body(b"{"),
    "data that is no text": with_body(b"\xff\xfe"),
    "data that is a list": with_body(b"[]"),
    "data that nests deep": with_body(b"[" * 10_000 + b"]" * 10_000),
    "data that is too large": with_body(b'"' + b"x" * 2**20 + b'"'),
    "no service": with_body(b'{"name": "shop"}'),
    "an id that is none": hint(id="shop"),
    "an organisation that is none": hint(org_id=5),
    "a structured event that is no object": structured() | {"content": "[]"},
    "a structured event that nests deep": structured() | {"content": '{"a":' * 9999 + "}" * 9999},
    "a structured event without an id": structured(id=...),
    "a structured event of a list's version": structured(specversion=[]),
    "a structured event of a number's type": structured(type=5),
    "a structured event without data": structured(data=...),
}


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED)
def test_an_event_that_no_repetition_mends_is_refused_at_once(
    deliver: Deliver, event: dict[str, Any]
) -> None:
    answer = deliver(event)
    assert (answer.status_code, answer.content) == (400, b"")


@pytest.mark.parametrize("function", ["reconcile", "status"])
@pytest.mark.parametrize("type", ["dev.maxcloud.made-up", "dev.maxcloud.service-ready", "", "x"])
def test_a_type_without_a_handler_is_refused_at_once(
    addresses: dict[str, str], function: str, type: str
) -> None:
    answer = httpx.post(addresses[function], **hint(type))
    assert (answer.status_code, answer.content) == (400, b"")


@pytest.mark.parametrize(
    ("action", "data", "status"),
    [
        ("update", {"kind": "Service", "name": "nobodys", "namespace": "default"}, 204),
        ("delete", {"kind": "Service", "name": "nobodys", "namespace": "default"}, 204),
        ("add", {"kind": "Service", "name": "nobodys"}, 400),
        ("add", {"kind": "Service", "name": "a\x00b", "namespace": "default"}, 400),
        ("add", {"kind": "Service", "name": "\ud800", "namespace": "default"}, 400),
    ],
)
def test_a_change_of_an_object_that_nobody_has_is_handled(
    addresses: dict[str, str], action: str, data: dict[str, str], status: int
) -> None:
    event = hint(f"dev.knative.apiserver.ref.{action}") | {"content": json.dumps(data)}
    answer = httpx.post(addresses["status"], **event)
    assert (answer.status_code, answer.content) == (status, b"")


@pytest.mark.parametrize("function", ["reconcile", "status"])
def test_an_endpoint_of_events_takes_posts_alone(addresses: dict[str, str], function: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert httpx.request(method, addresses[function]).status_code == 405
    assert httpx.get(f"{addresses[function]}/healthz").json() == {"status": "ok"}


def test_a_dead_letter_is_kept_once(reconcile: httpx.Client, database: TestDatabase) -> None:
    event = hint("dev.maxcloud.made-up")
    event["headers"] |= {
        "ce-subject": "shop",
        "ce-knativeerrorcode": "400",
        "ce-knativeerrordest": "http://status.mc-system.svc.cluster.local",
    }
    for _ in range(3):
        answer = reconcile.post("/dead-letters", **event)
        assert (answer.status_code, answer.content) == (204, b"")
    query = "select event_id, source, type, subject, destination, code, body from dead_letters"
    [letter] = execute(database.owner, query)
    assert letter[:-1] == (
        event["headers"]["ce-id"],
        "/maxcloud/services",
        "dev.maxcloud.made-up",
        "shop",
        "http://status.mc-system.svc.cluster.local",
        400,
    )
    assert json.loads(letter[-1]) == json.loads(event["content"])
    event["headers"]["ce-knativeerrordest"] = "http://reconcile.mc-system.svc.cluster.local"
    reconcile.post("/dead-letters", **event)
    assert len(execute(database.owner, query)) == 2


def test_a_sweep_forgets_expired_keys_even_when_the_cluster_is_away(
    reconcile: httpx.Client,
    database: TestDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    insert = (
        "insert into idempotency_keys (org_id, route, key, digest, status, headers, expires_at)"
        " select %s, 'POST /x', hours::text, '', 201, '{}', now() + hours * interval '1 hour'"
        " from unnest(array[-1, 1]) as hours"
    )
    execute(database.owner, insert, DEV_ORG_ID)
    assert reconcile.post("/", **hint(PING)).is_server_error
    assert execute(database.owner, "select key from idempotency_keys") == [("1",)]


def test_a_sweep_that_is_delivered_again_begins_where_the_broker_went_away(
    apis: dict[str, Api],
    database: TestDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    names = [f"shop-{number}" for number in range(5)]
    execute(database.owner, WAITING, DEV_ORG_ID, names)
    sink, db = Sink(), Database(database.worker)
    told: list[list[str]] = []
    with served(sink) as broker:
        app = apis["reconcile"].build(dev_config(sink=broker), db)
        with served(app, after=db.close) as url:
            for takes in (2, len(names)):
                sink.takes = takes
                assert httpx.post(url, **hint(PING)).is_server_error
                heard = [data["name"] for _, data in sink.drained()]
                told.append(heard[:takes])
    assert [len(heard) for heard in told] == [2, 3]
    assert sorted(told[0] + told[1]) == names


@pytest.mark.parametrize(
    "event",
    [
        hint() | {"content": b""},
        hint() | {"content": b"\xff"},
        structured(data="a\x00b", x="\x00"),
        structured(**{"\x00": "x"}),
        structured(id="\ud800", x="\udfff"),
        structured(subject=5),
        structured(knativeerrorcode="9" * 30),
        structured(knativeerrorcode="\u0665"),
    ],
    ids=["no data", "no text", "NUL", "NUL as a name", "surrogates", "subject", "code", "digits"],
)
def test_whatever_a_dead_letter_holds_is_kept(
    reconcile: httpx.Client, database: TestDatabase, event: dict[str, Any]
) -> None:
    assert reconcile.post("/dead-letters", **event).status_code == 204
    assert execute(database.owner, "select count(*) from dead_letters") == [(1,)]

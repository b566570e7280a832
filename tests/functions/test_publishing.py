"""What the function `services` tells the broker, and what a broker can do to it: nothing."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from starlette.types import ASGIApp

from maxcloud.config import DEV_ORG_ID
from maxcloud.http import Api
from maxcloud.store.database import Database
from tests.conftest import TestDatabase, dev_config, served
from tests.functions.conftest import public
from tests.functions.sink import Sink
from tests.functions.support import SERVICES, SHOP

SCHEMAS = Path(__file__).parents[2] / "eventing" / "schemas"

Start = Callable[[str], Any]


@pytest.fixture
def start(apis: dict[str, Api], database: TestDatabase) -> Start:
    """Serve the functions with a sink. At the end of it, everything is published."""

    @contextmanager
    def started(sink: str) -> Iterator[httpx.Client]:
        db = Database(database.api)
        app: ASGIApp = public(apis, dev_config(sink=sink), db)
        with served(app, after=db.close) as url, httpx.Client(base_url=url) as client:
            yield client

    return started


def test_each_write_is_told_once_in_the_contracts_form(start: Start) -> None:
    sink = Sink()
    shop = f"{SERVICES}/shop"
    with served(sink) as broker:
        with start(f"{broker}/mc-system/maxcloud") as http:
            named = {"X-Request-Id": "asked-1"}
            made = http.post(SERVICES, json=SHOP, headers=named).json()
            http.patch(shop, json={"port": 80}, headers=named)
            http.delete(shop, headers=named)
            for refused in (http.post(SERVICES, json={}), http.patch(shop, json={"port": 1})):
                assert refused.is_client_error
            http.get(SERVICES)
            http.delete(f"{SERVICES}/none")
        told = sink.drained()
    types = [headers["ce-type"] for headers, _ in told]
    assert types == [
        "dev.maxcloud.deploy-requested",
        "dev.maxcloud.deploy-requested",
        "dev.maxcloud.delete-requested",
    ]
    for generation, (headers, data) in enumerate(told, start=1):
        type = headers["ce-type"]
        assert {key: value for key, value in headers.items() if key.startswith("ce-")} == {
            "ce-specversion": "1.0",
            "ce-id": f"{made['id']}:{generation}:{type}",
            "ce-source": "/maxcloud/services",
            "ce-type": type,
            "ce-subject": made["id"],
            "ce-dataschema": f"https://maxcloud.dev/schemas/{type}.json",
            "ce-orgid": str(DEV_ORG_ID),
            "ce-requestid": "asked-1",
            "ce-time": headers["ce-time"],
        }
        assert headers["content-type"] == "application/json"
        assert data == {
            "id": made["id"],
            "org_id": str(DEV_ORG_ID),
            "name": "shop",
            "generation": generation,
        }
        schema = json.loads((SCHEMAS / f"{type}.json").read_text(encoding="utf-8"))
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(
            data
        )


def test_no_event_carries_what_a_tenant_configured(start: Start) -> None:
    sink = Sink()
    with served(sink) as broker:
        with start(broker) as http:
            secret = {"image": "registry.example/s3cret", "env_vars": {"TOKEN": "s3cret"}}
            assert http.post(SERVICES, json=SHOP | secret).status_code == 201
        [(headers, data)] = sink.drained()
    assert "s3cret" not in json.dumps([headers, data])


def test_a_broker_that_fails_changes_no_answer(start: Start) -> None:
    sink = Sink(takes=0)
    with served(sink) as broker:
        with start(broker) as http:
            assert http.post(SERVICES, json=SHOP).status_code == 201
            assert http.delete(f"{SERVICES}/shop").status_code == 204
        assert {headers["ce-type"] for headers, _ in sink.drained()} == {
            "dev.maxcloud.deploy-requested",
            "dev.maxcloud.delete-requested",
        }


def test_a_broker_that_is_back_within_seconds_hears_of_it(start: Start) -> None:
    sink = Sink(refuses=2)
    with served(sink) as broker:
        with start(broker) as http:
            made = http.post(SERVICES, json=SHOP).json()
        told = [headers["ce-subject"] for headers, _ in sink.drained()]
    assert told == 3 * [made["id"]]


@pytest.mark.parametrize("kind", ["absent", "silent"])
def test_a_broker_that_is_away_or_silent_costs_the_caller_no_time(start: Start, kind: str) -> None:
    """The silent one takes connections and never answers; publishing waits five seconds for it."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    if kind == "absent":
        listener.close()
    with start(f"http://127.0.0.1:{port}") as http:
        began = time.monotonic()
        assert http.post(SERVICES, json=SHOP).status_code == 201
        assert http.patch(f"{SERVICES}/shop", json={"port": 80}).status_code == 200
        assert http.delete(f"{SERVICES}/shop").status_code == 204
        assert time.monotonic() - began < 2
        listener.close()  # what still waits is refused, so that the server can end


def test_without_a_broker_nothing_is_told(start: Start, http: httpx.Client) -> None:
    assert http.post(SERVICES, json=SHOP).status_code == 201

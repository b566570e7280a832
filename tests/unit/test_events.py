import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from cloudevents.conversion import to_binary, to_structured
from jsonschema import Draft202012Validator

from maxcloud import events, log
from maxcloud.errors import PermanentError
from maxcloud.events import Event, Type, about, read_data
from maxcloud.hints import ServiceHint

SCHEMAS = Path(__file__).parents[2] / "eventing" / "schemas"
HINT = ServiceHint(
    id=UUID(int=1), org_id=UUID(int=2), name="shop", generation=7, revision="shop-00007"
)


@pytest.fixture
def request_id() -> Iterator[str]:
    token = log.request_id.set("asked-1")
    yield "asked-1"
    log.request_id.reset(token)


@pytest.mark.parametrize("type", Type)
@pytest.mark.parametrize("mode", [to_binary, to_structured], ids=["binary", "structured"])
def test_an_event_is_read_as_it_was_built(type: Type, mode: object, request_id: str) -> None:
    assert callable(mode)
    hint = HINT.model_copy(update={"reason": "ImageNotFound"})
    headers, body = mode(about(type, "services", hint))
    event = Event.parse(dict(headers), body)
    assert (event.id, event.type) == (f"{HINT.id}:7:{type}", type)
    assert (event.source, event.subject) == ("/maxcloud/services", str(HINT.id))
    assert event.extensions == {
        "datacontenttype": "application/json",
        "dataschema": f"https://maxcloud.dev/schemas/{type}.json",
        "orgid": str(HINT.org_id),
        "requestid": request_id,
    }
    assert read_data(event, ServiceHint) == hint


@pytest.mark.parametrize("type", Type)
def test_what_is_published_is_valid_against_its_schema(type: Type) -> None:
    schema = json.loads((SCHEMAS / f"{type}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    hint = HINT.model_copy(update={"reason": "ImageNotFound"})
    _, body = to_binary(about(type, "reconcile", hint))
    checked = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    checked.validate(json.loads(body))
    checked.validate({**json.loads(body), "added": "later"})
    assert not checked.is_valid({"name": "shop"})


def test_an_event_without_a_request_names_none() -> None:
    headers, body = to_binary(about(Type.SERVICE_READY, "status", HINT))
    assert "ce-requestid" not in headers
    assert json.loads(body) == HINT.model_dump(mode="json", exclude={"reason"})


def test_an_event_has_no_room_for_a_secret() -> None:
    assert set(ServiceHint.model_fields) == {
        *("id", "org_id", "name", "generation", "revision", "reason")
    }


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        ({}, b"{}"),
        ({"content-type": "application/cloudevents+json"}, b'{"specversion": {}}'),
        ({"content-type": "application/cloudevents+json"}, b"[" * 100_000),
        ({"ce-specversion": "1.0", "ce-type": "x", "ce-id": "1"}, b"{}"),
        ({"ce-specversion": "2.0", "ce-type": "x", "ce-id": "1", "ce-source": "x"}, b"{}"),
    ],
)
def test_what_is_no_event_is_refused_for_good(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(PermanentError, match=r"^not a CloudEvent"):
        Event.parse(headers, body)


@pytest.mark.parametrize("data", [None, "", "{", b"\xff", [], 5, {}, {"id": "x", "org_id": "y"}])
def test_data_of_another_shape_is_refused_for_good(data: object) -> None:
    with pytest.raises(PermanentError, match="malformed data"):
        read_data(Event("1", "/x", "t", None, data), ServiceHint)


@pytest.mark.anyio
async def test_without_a_broker_nothing_is_published_and_nothing_missed() -> None:
    assert not await events.publish(None, about(Type.SERVICE_READY, "status", HINT))
    assert await events.broker_answers(None)
    assert not await events.broker_answers("http://127.0.0.1:1/x")
    assert not await events.publish(
        "http://127.0.0.1:1/x", about(Type.SERVICE_READY, "status", HINT)
    )

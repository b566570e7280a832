"""CloudEvents over HTTP, with the library that the functions use on the other side."""

import json
from typing import Any

import pytest
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent, from_http

from maxcloud_local.eventing.cloudevent import Event, NoEvent

ATTRIBUTES = {"id": "1", "source": "/s", "type": "t", "subject": "7", "orgid": "o"}


@pytest.mark.parametrize("data", [{"a": [1, "ü"]}, None])
@pytest.mark.parametrize("mode", [to_binary, to_structured])
def test_what_the_functions_publish_reaches_a_function(mode: Any, data: Any) -> None:
    sent = CloudEvent({**ATTRIBUTES, "datacontenttype": "application/json"}, data)
    headers, body = Event.from_http(*mode(sent)).to_http()
    received = from_http(headers, body)
    assert received.get_data() == data
    assert {name: received[name] for name in ATTRIBUTES} == ATTRIBUTES
    assert received["time"] == sent["time"]


def test_data_of_another_type_stays_as_it_is() -> None:
    body = {"specversion": "1.0", **ATTRIBUTES, "datacontenttype": "text/plain", "data": "ü"}
    assert structured(body).data == "ü".encode()
    body = {"specversion": "1.0", **ATTRIBUTES, "data_base64": "AP8="}
    assert structured(body).data == b"\x00\xff"


def test_an_attribute_cannot_break_out_of_its_header() -> None:
    text = 'a b"%ü\r\nX: y'
    headers, body = Event.new({**ATTRIBUTES, "subject": text}).to_http()
    assert headers["ce-subject"] == "a%20b%22%25%C3%BC%0D%0AX:%20y"
    assert Event.from_http(headers, body).attributes["subject"] == text


def test_numbers_become_text() -> None:
    event = structured({"specversion": "1.0", **ATTRIBUTES, "count": 3, "good": True, "no": None})
    assert (event.attributes["count"], event.attributes["good"]) == ("3", "true")
    assert "no" not in event.attributes


BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        ({"Content-Type": "application/json"}, b'{"specversion": "1.0"}'),
        ({**BINARY, "ce-specversion": "0.3"}, b""),
        ({**BINARY, "ce-id": ""}, b""),
        ({name: BINARY[name] for name in list(BINARY)[:3]}, b""),
        ({**BINARY, "ce-not-a-name": "x"}, b""),
        ({"Content-Type": "application/cloudevents+json"}, b"["),
        ({"Content-Type": "application/cloudevents+json"}, b"[]"),
        ({"Content-Type": "application/cloudevents+json"}, b"\xff"),
        ({"Content-Type": "application/cloudevents+json"}, b"[" * 100_000),
        ({"Content-Type": "application/cloudevents-batch+json"}, b"[]"),
    ],
)
def test_what_is_no_event(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(NoEvent):
        Event.from_http(headers, body)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ext": {"a": 1}},
        {"Ext\r\nX": "y"},
        {"data_base64": "#"},
        {"datacontenttype": "text/plain\r\nX: y"},
    ],
)
def test_what_is_no_structured_event(wrong: dict[str, Any]) -> None:
    with pytest.raises(NoEvent):
        structured({"specversion": "1.0", **ATTRIBUTES, **wrong})


def structured(body: dict[str, Any]) -> Event:
    headers = {"content-type": "application/cloudevents+json; charset=utf-8"}
    return Event.from_http(headers, json.dumps(body).encode())

"""The client's behaviour on the wire, against a real HTTP server that follows a script."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from maxcloud import errors
from maxcloud.answers import Readiness, Version
from maxcloud.client import Client, ConnectionFailed, InvalidSetting, NoAnswer, NotTheAPI
from maxcloud.models import DeployRequest, ServiceStatus, UpdateRequest
from tests.cli.scripted import (
    SERVICE_ID,
    Answer,
    ScriptedAPI,
    refusal,
    revision,
    scripted_api,
    service,
)

SERVICES = "/api/v1/services"
SHOP = f"{SERVICES}/shop"


@pytest.fixture
def scripted() -> Iterator[ScriptedAPI]:
    with scripted_api() as running:
        yield running


@pytest.fixture
def client(scripted: ScriptedAPI) -> Iterator[Client]:
    with Client(scripted.url, "mc_key", timeout=5) as connected:
        yield connected


def test_deploy_sends_the_fields_that_are_set(scripted: ScriptedAPI, client: Client) -> None:
    scripted.script("POST", SERVICES, Answer(201, service()))
    made = client.deploy(DeployRequest(name="shop", image="nginx:1.29", port=80))
    assert (made.id, made.status) == (SERVICE_ID, ServiceStatus.READY)
    [asked] = scripted.asked
    assert asked.body == {"name": "shop", "image": "nginx:1.29", "port": 80}
    assert asked.headers["Authorization"] == "Bearer mc_key"
    assert asked.headers["Content-Type"] == "application/json"


def test_update_is_a_merge_patch_of_the_fields_that_are_set(
    scripted: ScriptedAPI, client: Client
) -> None:
    scripted.script("PATCH", SHOP, Answer(200, service()))
    client.update("shop", UpdateRequest(port=None, env_vars={"A": "1", "B": None}))
    [asked] = scripted.asked
    assert asked.body == {"port": None, "env_vars": {"A": "1", "B": None}}
    assert asked.headers["Content-Type"] == "application/merge-patch+json"


def test_lists_follow_the_next_page_but_never_to_another_host(
    scripted: ScriptedAPI, client: Client
) -> None:
    link = '<https://elsewhere.example/api/v1/services?cursor=b&limit=1>; rel="next"'
    scripted.script("GET", SERVICES, Answer(200, [service()], {"Link": link}))
    scripted.script("GET", f"{SERVICES}?cursor=b&limit=1", Answer(200, [service(name="api")]))
    assert [each.name for each in client.list_services()] == ["shop", "api"]


def test_revisions_version_and_delete(scripted: ScriptedAPI, client: Client) -> None:
    scripted.script("GET", f"{SHOP}/revisions", Answer(200, [revision(2), revision(1)]))
    scripted.script("GET", "/api/v1/version", Answer(200, {"version": "0.2.0", "commit": "abc"}))
    scripted.script("DELETE", SHOP, Answer(204))
    assert [each.name for each in client.revisions("shop")] == ["shop-00002", "shop-00001"]
    assert client.version() == Version(version="0.2.0", commit="abc")
    client.delete_service("shop")
    assert scripted.asked[-1].method == "DELETE"


def test_ready_asks_once_and_names_what_is_down(scripted: ScriptedAPI, client: Client) -> None:
    scripted.script("GET", "/readyz", Answer(200, {"status": "ok"}))
    assert client.ready() == Readiness(status="ok")
    down = {"error": "down: database", "code": "unavailable", "request_id": "r"}
    scripted.script("GET", "/readyz", Answer(503, down))
    with pytest.raises(errors.Unavailable, match="down: database"):
        client.ready()
    assert len(scripted.asked) == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(400, "invalid_field", "port is taken", field="port"), errors.InvalidField),
        (refusal(401, "unauthenticated", "who are you?"), errors.Unauthenticated),
        (refusal(404, "not_found", "there is no service shop"), errors.NotFound),
        (refusal(409, "name_taken", "taken"), errors.NameTaken),
        (refusal(409, "last_admin", "a code of a newer API"), errors.Conflict),
    ],
)
def test_a_refusal_is_raised_as_the_class_of_its_code(
    scripted: ScriptedAPI, client: Client, answer: Answer, kind: type[errors.APIError]
) -> None:
    scripted.script("PATCH", SHOP, answer)
    with pytest.raises(kind) as caught:
        client.update("shop", UpdateRequest(port=1))
    assert type(caught.value) is kind
    assert caught.value.message == answer.body["error"]
    assert caught.value.error_code == answer.body["code"]
    assert caught.value.status_code == answer.status
    assert caught.value.request_id == "req-1"
    assert caught.value.field == answer.body.get("field")


def test_a_refusal_says_when_to_try_again(scripted: ScriptedAPI, client: Client) -> None:
    scripted.script(
        "GET", SHOP, refusal(429, "rate_limited", "slow down", headers={"Retry-After": "7"})
    )
    with pytest.raises(errors.TooManyRequests) as caught:
        client.get_service("shop")
    assert caught.value.retry_after == 7


TROUBLE = [
    Answer(502, "bad gateway"),
    Answer(503, "no healthy upstream"),
    refusal(503, "unavailable", "the database is away"),
    Answer(504, "upstream request timeout"),
    Answer(reset=True),
]


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_get_is_sent_again_after_passing_trouble(
    scripted: ScriptedAPI, client: Client, trouble: Answer
) -> None:
    scripted.script("GET", SHOP, trouble, trouble, Answer(200, service()))
    assert client.get_service("shop").name == "shop"
    assert len(scripted.asked) == 3


def test_a_get_gives_up_with_the_last_trouble(scripted: ScriptedAPI, client: Client) -> None:
    scripted.script("GET", SHOP, Answer(503, "no healthy upstream"))
    with pytest.raises(errors.Unavailable, match=r"not available \(503: no healthy upstream\)"):
        client.get_service("shop")
    assert len(scripted.asked) == 4


def test_a_retry_after_beyond_the_timeout_is_not_waited_for(scripted: ScriptedAPI) -> None:
    scripted.script("GET", SHOP, refusal(503, "unavailable", "down", headers={"Retry-After": "60"}))
    with Client(scripted.url, timeout=1) as client, pytest.raises(errors.Unavailable) as caught:
        client.get_service("shop")
    assert caught.value.retry_after == 60
    assert len(scripted.asked) == 1


def test_retry_after_is_honoured_within_the_timeout(scripted: ScriptedAPI, client: Client) -> None:
    busy = refusal(503, "unavailable", "down", headers={"Retry-After": "1"})
    scripted.script("GET", SHOP, busy, Answer(200, service()))
    start = time.monotonic()
    assert client.get_service("shop").name == "shop"
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_post_is_sent_again_with_its_key(
    scripted: ScriptedAPI, client: Client, trouble: Answer
) -> None:
    scripted.script("POST", SERVICES, trouble, trouble, Answer(201, service()))
    request = DeployRequest(name="shop", image="nginx")
    assert client.deploy(request).name == "shop"
    keys = [asked.headers["Idempotency-Key"] for asked in scripted.asked]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert len({json.dumps(asked.body) for asked in scripted.asked}) == 1
    client.deploy(request)
    assert scripted.asked[-1].headers["Idempotency-Key"] not in keys


@pytest.mark.parametrize("status", [400, 401, 409, 500])
def test_a_post_that_was_refused_is_not_sent_again(
    scripted: ScriptedAPI, client: Client, status: int
) -> None:
    scripted.script("POST", SERVICES, refusal(status, "no", "no"))
    with pytest.raises(errors.APIError):
        client.deploy(DeployRequest(name="shop", image="nginx"), idempotency_key="mine")
    assert [asked.headers["Idempotency-Key"] for asked in scripted.asked] == ["mine"]


@pytest.mark.parametrize("key", ["line\n", "schlüssel", "\x00"])
def test_an_idempotency_key_that_no_header_can_carry_is_refused_at_once(
    scripted: ScriptedAPI, client: Client, key: str
) -> None:
    with pytest.raises(InvalidSetting):
        client.deploy(DeployRequest(name="shop", image="nginx"), idempotency_key=key)
    assert scripted.asked == []


def test_if_match_is_an_etag(scripted: ScriptedAPI, client: Client) -> None:
    scripted.script("PATCH", SHOP, refusal(412, "precondition_failed", "it is at 4, not 3"))
    scripted.script("DELETE", SHOP, Answer(204))
    with pytest.raises(errors.PreconditionFailed):
        client.update("shop", UpdateRequest(port=1), if_match=3)
    client.delete_service("shop", if_match=3)
    client.delete_service("shop")
    sent = [asked.headers.get("If-Match") for asked in scripted.asked]
    assert sent == ['"3"', '"3"', None]


@pytest.mark.parametrize("trouble", [Answer(503, "no healthy upstream"), Answer(reset=True)])
def test_a_write_without_a_key_is_sent_once(
    scripted: ScriptedAPI, client: Client, trouble: Answer
) -> None:
    for method, path in [("PATCH", SHOP), ("DELETE", SHOP)]:
        scripted.script(method, path, trouble)
    with pytest.raises((errors.Unavailable, NoAnswer)):
        client.update("shop", UpdateRequest(port=1))
    with pytest.raises((errors.Unavailable, NoAnswer)):
        client.delete_service("shop")
    assert [asked.method for asked in scripted.asked] == ["PATCH", "DELETE"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, ""),
        Answer(404, {"detail": "Not Found"}),
        Answer(200, "<html>", {"Content-Type": "text/html"}),
        Answer(200, {"name": "shop"}),
        Answer(308, "", {"Location": "https://api.example/"}),
    ],
)
def test_an_answer_of_something_else_is_told_from_ours(
    scripted: ScriptedAPI, client: Client, answer: Answer
) -> None:
    scripted.script("GET", SHOP, answer)
    with pytest.raises(NotTheAPI, match=scripted.url) as caught:
        client.get_service("shop")
    assert caught.value.status_code == answer.status
    assert not isinstance(caught.value, errors.NotFound)
    assert len(scripted.asked) == 1


def test_no_connection_names_the_url() -> None:
    with socket.socket() as bound:  # bound and not listening: a connection is refused
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with Client(url) as client, pytest.raises(ConnectionFailed) as caught:
            client.list_services()
    assert str(caught.value) == f"cannot connect to API server at {url}"
    assert not isinstance(caught.value, NoAnswer)


def test_the_timeout_bounds_a_call(scripted: ScriptedAPI) -> None:
    never = threading.Event()
    scripted.script("GET", SHOP, Answer(200, service(), after=never))
    try:
        with Client(scripted.url, timeout=0.2) as client, pytest.raises(NoAnswer, match=r"0\.2 s"):
            client.get_service("shop")
    finally:
        never.set()
    assert len(scripted.asked) == 1


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8080", "ftp://host", "http://", "http://me:secret@host", "http://host:port"],
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Client(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["two words", "line\n", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_at_once(key: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Client("http://localhost", key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_is_another_route_is_not_asked_for(
    scripted: ScriptedAPI, client: Client, name: str
) -> None:
    with pytest.raises(errors.NotFound):
        client.delete_service(name)
    assert scripted.asked == []


def test_a_name_cannot_leave_its_place_in_the_path(scripted: ScriptedAPI, client: Client) -> None:
    with pytest.raises(errors.NotFound):
        client.get_service("a/../../version?x")
    assert scripted.asked[0].path == f"{SERVICES}/a%2F..%2F..%2Fversion%3Fx"

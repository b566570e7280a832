"""What may arrive on a socket: bodies, headers, paths and methods out of the ordinary."""

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.functions.support import SERVICES, SHOP, assert_refusal, is_uuid, raw
from tests.journeys.platform import eventually

JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024


def chunked(size: int) -> Iterator[bytes]:
    yield b'{"name": "'
    for _ in range(size // 65536):
        yield b"x" * 65536


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"nothing",
        b"{'name': 'shop'}",
        b'{"name": "shop",}',
        b'{"name": "sh\xffop", "image": "nginx"}',
        b"\xff\xfe{\x00}\x00",
        b'{"name": "\\ud800", "image": "nginx"}',
        b'{"name": "shop", "image": "nginx"} {}',
        b'{"name": "shop\n", "image": "nginx"}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[]",
        b'[{"name": "shop", "image": "nginx"}]',
        b'"shop"',
        b"null",
        b"5",
        b"NaN",
        b"true",
    ],
    ids=lambda body: repr(body[:40]),
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_body_that_is_no_json_object_is_malformed(
    shared: httpx.Client, method: str, body: bytes
) -> None:
    path = SERVICES if method == "POST" else f"{SERVICES}/none"
    answer = shared.request(method, path, content=body, headers=JSON)
    said = assert_refusal(answer, "malformed")
    assert said.startswith("the body ")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "-0.5"])
def test_a_number_that_is_none_is_refused(shared: httpx.Client, number: str) -> None:
    body = '{"name": "shop", "image": "nginx", "port": ' + number + "}"
    answer = shared.post(SERVICES, content=body, headers=JSON)
    assert answer.status_code == 400
    code = answer.json()["code"]
    assert_refusal(answer, code, "port" if code == "invalid_field" else None)


def test_a_body_over_one_mebibyte_is_too_large_whether_it_says_so_or_not(
    shared: httpx.Client,
) -> None:
    declared = shared.post(SERVICES, content=b"x" * 2 * MIB, headers=JSON)
    assert_refusal(declared, "payload_too_large")
    assert_refusal(
        shared.post(SERVICES, content=chunked(2 * MIB), headers=JSON), "payload_too_large"
    )


@pytest.mark.parametrize(
    ("method", "path", "media", "code"),
    [
        ("POST", SERVICES, "application/json", "payload_too_large"),
        ("POST", SERVICES, "text/plain", "unsupported_media_type"),
        ("PUT", SERVICES, "application/json", "method_not_allowed"),
        ("POST", f"{SERVICES}/none/none", "application/json", "not_found"),
    ],
)
def test_a_refusal_reaches_who_is_still_sending(
    shared_url: str, method: str, path: str, media: str, code: str
) -> None:
    """The connection ends with the answer: whatever was unread would reset it."""
    headers = {"Content-Type": media, "Connection": "close"}
    assert_refusal(raw(shared_url, method, path, headers, b"x" * 8 * MIB), code)


def test_who_asks_before_sending_is_refused_without_a_body(shared_url: str) -> None:
    headers = {"Content-Type": "text/plain", "Content-Length": str(8 * MIB)}
    answer = raw(shared_url, "POST", SERVICES, headers | {"Expect": "100-continue"})
    assert_refusal(answer, "unsupported_media_type")


def test_a_body_of_just_one_mebibyte_is_read(shared: httpx.Client) -> None:
    body = json.dumps({"name": "shop", "x": ""}).encode()
    padded = body[:-2] + b"x" * (MIB - len(body)) + body[-2:]
    assert len(padded) == MIB
    assert_refusal(shared.post(SERVICES, content=padded, headers=JSON), "invalid_field", "image")


@pytest.mark.parametrize(
    "media",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ],
)
def test_a_body_of_another_type_is_not_supported(shared: httpx.Client, media: str | None) -> None:
    headers = {} if media is None else {"Content-Type": media}
    answer = shared.post(SERVICES, content=json.dumps(SHOP), headers=headers)
    assert_refusal(answer, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "gzip, identity"])
def test_a_compressed_body_is_not_supported(shared: httpx.Client, coding: str) -> None:
    headers = {**JSON, "Content-Encoding": coding}
    assert_refusal(shared.post(SERVICES, content=b"x", headers=headers), "unsupported_media_type")


@pytest.mark.parametrize(
    "media", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"]
)
def test_json_may_be_named_with_more_words(shared: httpx.Client, media: str) -> None:
    answer = shared.post(SERVICES, content=b"{}", headers={"Content-Type": media})
    assert_refusal(answer, "invalid_field", "name")


@pytest.mark.parametrize("accept", ["text/html", "application/xml, text/plain", "image/*"])
def test_a_caller_that_takes_no_json_is_refused(shared: httpx.Client, accept: str) -> None:
    assert_refusal(shared.get(SERVICES, headers={"Accept": accept}), "not_acceptable")


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/*", "application/json;q=0.5", "text/html, Application/JSON", ""],
)
def test_a_caller_that_takes_json_is_served(shared: httpx.Client, accept: str) -> None:
    assert shared.get(SERVICES, headers={"Accept": accept}).json() == []


def test_what_a_caller_takes_may_be_said_in_two_lines(shared: httpx.Client) -> None:
    lines = [("Accept", "text/html"), ("Accept", "application/json")]
    assert shared.get(SERVICES, headers=lines).json() == []


def test_a_caller_that_goes_away_is_no_mistake_of_ours(
    shared_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    parts = urlsplit(shared_url)
    lines = [f"POST {SERVICES} HTTP/1.1", "Host: x", "Content-Type: application/json"]
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        connection.sendall("\r\n".join([*lines, "Content-Length: 9", "", '{"name"']).encode())
    eventually("the log", lambda: caplog.messages, 10, lambda said: f"POST {SERVICES}" in said)
    assert [record.levelname for record in caplog.records] == ["INFO"]


@pytest.mark.parametrize(
    "sent", ["a", "req-1.2_3", "x" * 64, "0b3c2c6e-0000-4000-8000-0123456789ab"]
)
def test_a_valid_request_id_is_kept(shared: httpx.Client, sent: str) -> None:
    for path in (SERVICES, f"{SERVICES}/none", f"{SERVICES}/none/none", "/healthz"):
        assert shared.get(path, headers={"X-Request-Id": sent}).headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a;b", "{}", "a\tb", "é", "../x"])
def test_an_odd_request_id_is_replaced(shared: httpx.Client, sent: str) -> None:
    headers = {b"X-Request-Id": sent.encode()}
    for path in (SERVICES, f"{SERVICES}/none"):
        assert is_uuid(shared.get(path, headers=headers).headers["x-request-id"])


@pytest.mark.parametrize(
    "path",
    [
        *("/%00", "/%2f", "/%2e%2e", "/..", "/.", "//", "/", "/shop/", "/shop/none", "/%ff", "/%"),
        *(
            "/%C3%A9",
            "/shop%0a",
            "/%F0%9F%92%A9",
            "/" + "x" * 8000,
            "/a/../shop",
            "/;x",
            "/%7Bid%7D",
        ),
        *("/%27%20or%201=1", "/shop%20", "x", "/shop/revisions/", "/../services/shop", "/SHOP"),
    ],
    ids=lambda path: path[:20],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_path_with_a_trick_finds_nothing(shared_url: str, method: str, path: str) -> None:
    answer = raw(shared_url, method, SERVICES + path)
    assert_refusal(answer, "not_found")
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "method", ["PUT", "TRACE", "OPTIONS", "CONNECTED", "BREW", "post", "DELETE"]
)
def test_a_method_that_a_path_does_not_know_is_refused(shared_url: str, method: str) -> None:
    answer = raw(shared_url, method, SERVICES)
    assert_refusal(answer, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


def test_head_answers_as_get_does_without_a_body(shared: httpx.Client) -> None:
    for path in (SERVICES, "/healthz"):
        asked, got = shared.head(path), shared.get(path)
        assert (asked.status_code, asked.content) == (got.status_code, b"")
        assert asked.headers["content-length"] == got.headers["content-length"]
    assert shared.head(f"{SERVICES}/none").status_code == 404


@pytest.mark.parametrize(
    "host", ["", "[", "a b", "x" * 500, "services.mc-system.svc.cluster.local"]
)
def test_no_host_makes_a_difference_or_comes_back(shared_url: str, host: str) -> None:
    answer = raw(shared_url, "GET", f"{SERVICES}/none", {"Host": host})
    assert_refusal(answer, "not_found")


def test_a_query_with_a_trick_changes_nothing(shared: httpx.Client) -> None:
    query = "name=%00&' or 1=1"
    assert_refusal(shared.get(f"{SERVICES}?{query}"), "invalid_field", "name")
    assert_refusal(shared.get(f"{SERVICES}?{'x' * 5000}="), "invalid_field", "x" * 100)
    # Where nothing is read from the query, it is not looked at.
    assert shared.get(f"/healthz?{query}").status_code == 200
    assert_refusal(shared.get(f"{SERVICES}/none?{query}"), "not_found")

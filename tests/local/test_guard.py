"""Which requests may reach the API of a platform that asks for no credential."""

import pytest
from multidict import CIMultiDict

from maxcloud.errors import Forbidden, UnsupportedMedia
from maxcloud_local.gateway.guard import why_refused

ORIGIN = "http://localhost:8080"
JSON = {"Content-Type": "application/json", "Content-Length": "2"}
LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        # The CLI, curl and other programs.
        ("GET", {}),
        ("DELETE", {}),
        ("POST", {"Content-Length": "0"}),
        ("POST", JSON),
        ("POST", JSON | {"Content-Type": "Application/JSON; charset=utf-8"}),
        ("PATCH", JSON | {"Content-Type": "application/merge-patch+json"}),
        ("POST", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}),
        # A page of the API's own origin.
        ("GET", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}),
        ("POST", JSON | {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}),
        ("DELETE", {"Origin": "HTTP://LocalHost:8080"}),
        # A person: the address bar, a bookmark, a link.
        ("GET", {"Sec-Fetch-Site": "none", **LINK}),
        ("GET", {"Sec-Fetch-Site": "cross-site", **LINK}),
        ("GET", {"sec-fetch-site": "same-site", **LINK}),
    ],
)
def test_may(method: str, headers: dict[str, str]) -> None:
    assert why_refused(method, "/api/v1/services", CIMultiDict(headers), ORIGIN) is None


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", JSON | {"Origin": "http://evil.example"}),
        ("POST", JSON | {"Origin": "http://localhost:3000"}),
        ("POST", JSON | {"Origin": "http://hello.localhost:8080"}),
        ("POST", JSON | {"Origin": "https://localhost:8080"}),
        ("POST", JSON | {"Origin": "http://localhost"}),
        ("POST", JSON | {"Origin": "http://localhost:8080.evil.example"}),
        ("POST", JSON | {"Origin": "null"}),
        ("POST", JSON | {"Origin": ""}),
        ("GET", {"Origin": "http://evil.example"}),
        ("DELETE", {"Sec-Fetch-Site": "cross-site"}),
        ("GET", {"Sec-Fetch-Site": "cross-site"}),
        ("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}),
        ("GET", {"Sec-Fetch-Site": "a new word"}),
        # A frame shows a page inside another one; a form is sent by a page's script too.
        ("GET", {"Sec-Fetch-Site": "cross-site", **LINK, "Sec-Fetch-Dest": "iframe"}),
        ("POST", JSON | {"Sec-Fetch-Site": "cross-site", **LINK}),
    ],
)
def test_a_web_page_may_not(method: str, headers: dict[str, str]) -> None:
    error = why_refused(method, "/api/v1/services", CIMultiDict(headers), ORIGIN)
    assert error is not None
    assert (error.status_code, error.error_code) == (403, "forbidden")


@pytest.mark.parametrize(
    "media",
    [
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
    ],
)
@pytest.mark.parametrize("length", [{"Content-Length": "2"}, {"Transfer-Encoding": "chunked"}])
def test_what_a_form_can_send_is_refused(media: str, length: dict[str, str]) -> None:
    headers = CIMultiDict({"Content-Type": media, **length})
    error = why_refused("POST", "/api/v1/services", headers, ORIGIN)
    assert error is not None
    assert (error.status_code, error.error_code) == (415, "unsupported_media_type")


def test_a_form_is_taken_where_tokens_are_given_and_from_no_web_page() -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "3"}
    token = "/api/v1/registry/token"
    assert why_refused("POST", token, CIMultiDict(form), ORIGIN) is None
    foreign = CIMultiDict(form | {"Origin": "http://evil.example"})
    assert isinstance(why_refused("POST", token, foreign, ORIGIN), Forbidden)
    elsewhere = why_refused("POST", f"{token}/x", CIMultiDict(form), ORIGIN)
    assert isinstance(elsewhere, UnsupportedMedia)

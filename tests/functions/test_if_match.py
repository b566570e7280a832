"""If-Match: a change is made to the generation that its caller has seen, or not at all."""

import asyncio

import httpx
import pytest

from maxcloud.client import Client
from maxcloud.errors import PreconditionFailed
from maxcloud.models import DeployRequest, ServiceStatus, UpdateRequest
from maxcloud.traffic import TrafficShare
from tests.functions.support import SERVICES, SHOP, assert_refusal

PATH = f"{SERVICES}/shop"
ALL = [{"revision": "latest", "percent": 100}]


@pytest.fixture
def at_two(http: httpx.Client) -> httpx.Response:
    """A service at its second generation."""
    http.post(SERVICES, json=SHOP)
    return http.patch(PATH, json={"port": 80})


def test_each_answer_of_a_service_carries_its_generation_as_etag(http: httpx.Client) -> None:
    assert http.post(SERVICES, json=SHOP).headers["etag"] == '"1"'
    assert http.patch(PATH, json={"port": 80}).headers["etag"] == '"2"'
    assert http.get(PATH).headers["etag"] == http.head(PATH).headers["etag"] == '"2"'
    for none in (http.get(SERVICES), http.get(f"{PATH}/revisions"), http.delete(PATH)):
        assert "etag" not in none.headers


@pytest.mark.parametrize("generation", ["1", '"1"', '"3"', "0", "9" * 18])
def test_another_generation_changes_nothing(
    http: httpx.Client, at_two: httpx.Response, generation: str
) -> None:
    stale = {"If-Match": generation}
    for answer in (
        http.patch(PATH, json={"port": 81}, headers=stale),
        http.patch(PATH, json={}, headers=stale),
        http.put(f"{PATH}/traffic", json=ALL, headers=stale),
        http.delete(PATH, headers=stale),
    ):
        said = assert_refusal(answer, "precondition_failed")
        assert said.startswith("the service is at generation 2, not ")
        assert http.get(PATH).json() == at_two.json()


@pytest.mark.parametrize("generation", ["2", '"2"', "*"])
def test_the_generation_that_is_there_is_changed(
    http: httpx.Client, at_two: httpx.Response, generation: str
) -> None:
    changed = http.patch(PATH, json={"port": 81}, headers={"If-Match": generation})
    assert (changed.json()["port"], changed.headers["etag"]) == (81, '"3"')
    seen = {"If-Match": changed.headers["etag"]}
    shared = http.put(f"{PATH}/traffic", json=ALL, headers=seen)
    assert (shared.status_code, shared.headers["etag"]) == (200, '"3"')
    following = "*" if generation == "*" else changed.headers["etag"]
    assert http.delete(PATH, headers={"If-Match": following}).status_code == 204


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "two",
        "-1",
        "1.0",
        '"1',
        '1"',
        'W/"2"',
        '"1", "2"',
        "2, 2",
        "**",
        '""',
        "9" * 19,
        "\u0662",
    ],
)
def test_what_is_no_generation_is_refused(
    http: httpx.Client, at_two: httpx.Response, sent: str
) -> None:
    headers = [(b"If-Match", sent.encode())]
    for answer in (
        http.patch(PATH, json={"port": 81}, headers=headers),
        http.delete(PATH, headers=headers),
        http.delete(PATH, headers=[("If-Match", "2"), ("If-Match", "2")]),
    ):
        assert_refusal(answer, "invalid_field", "If-Match")
    assert http.get(PATH).json() == at_two.json()


def test_what_would_be_refused_anyway_is_refused_for_that(http: httpx.Client) -> None:
    """RFC 9110, section 13.2.1."""
    stale = {"If-Match": '"7"'}
    assert_refusal(http.patch(PATH, json={}, headers=stale), "not_found")
    assert_refusal(http.delete(PATH, headers=stale), "not_found")
    http.post(SERVICES, json=SHOP)
    http.delete(PATH)
    assert_refusal(http.patch(PATH, json={}, headers=stale), "service_deleting")


@pytest.mark.anyio
async def test_of_many_changes_to_one_generation_one_is_made(api: str) -> None:
    async with httpx.AsyncClient(base_url=api) as http:
        await http.post(SERVICES, json=SHOP)
        seen = {"If-Match": '"1"'}
        ports = range(81, 91)
        answers = await asyncio.gather(
            *[http.patch(PATH, json={"port": port}, headers=seen) for port in ports]
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9
        [made] = [answer.json() for answer in answers if answer.status_code == 200]
        assert (await http.get(PATH)).json() == made
        assert made["generation"] == 2


def test_the_client_library_changes_the_generation_it_was_shown(api: str) -> None:
    with Client(api) as client:
        made = client.deploy(DeployRequest(name="shop", image="nginx"))
        changed = client.update("shop", UpdateRequest(port=80), if_match=made.generation)
        for refused in (
            lambda: client.update("shop", UpdateRequest(port=81), if_match=made.generation),
            lambda: client.set_traffic(
                "shop", [TrafficShare(revision="latest", percent=100)], if_match=made.generation
            ),
            lambda: client.delete_service("shop", if_match=made.generation),
        ):
            with pytest.raises(PreconditionFailed):
                refused()
        assert client.get_service("shop") == changed
        client.delete_service("shop", if_match=changed.generation)
        assert client.get_service("shop").status is ServiceStatus.DELETING

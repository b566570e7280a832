"""Lists in pages: complete, and stable while entries come and go."""

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import cycle

import httpx
import pytest

from maxcloud.client import Client
from maxcloud.config import DEV_ORG_ID
from maxcloud.store import convergence
from maxcloud.store.database import Database
from tests.conftest import TestDatabase
from tests.functions.support import SERVICES, SHOP, assert_refusal
from tests.store.support import add_organisation, created, deleting, execute

FILL = """
insert into services (org_id, name, image)
select %s, 'shop-' || to_char(number, 'FM0000'), 'nginx' from generate_series(1, %s) as number
"""
FILL_REVISIONS = """
insert into revisions (org_id, service_id, generation, name, image, digest, template)
select org_id, id, number, name || '-' || number, 'nginx', 'sha256:0', '{}'
from services, generate_series(1, %s) as number
"""


def filled(database: TestDatabase, many: int) -> list[str]:
    """Make services of the organisation, and return their names in order."""
    execute(database.owner, FILL, DEV_ORG_ID, many)
    return [f"shop-{number:04}" for number in range(1, many + 1)]


def next_page(answer: httpx.Response) -> str | None:
    """The path and query of the page behind this one, checked for its form."""
    link = answer.headers.get("link")
    if link is None:
        return None
    found = re.fullmatch(
        r'<(/api/v1/services(?:/\w+/\w+)?\?cursor=[\w-]+&limit=\d+)>; rel="next"', link
    )
    assert found, link
    return found[1]


def pages(http: httpx.Client, path: str) -> list[list[str]]:
    """The names on each page, following Link."""
    found: list[list[str]] = []
    following: str | None = path
    while following:
        answer = http.get(following)
        assert answer.status_code == 200, answer.text
        found.append([entry["name"] for entry in answer.json()])
        following = next_page(answer)
    return found


@pytest.mark.parametrize(
    ("query", "lengths"),
    [
        ("", [100, 100, 50]),
        ("?limit=500", [250]),
        ("?limit=250", [250]),
        ("?limit=249", [249, 1]),
        ("?limit=125", [125, 125]),
    ],
)
def test_pages_hold_every_service_once_in_order(
    http: httpx.Client, database: TestDatabase, query: str, lengths: list[int]
) -> None:
    names = filled(database, 250)
    execute(database.owner, FILL.replace("shop", "other"), add_organisation(database.owner), 10)
    found = pages(http, SERVICES + query)
    assert [len(page) for page in found] == lengths
    assert [name for page in found for name in page] == names


def test_revisions_come_in_pages_newest_first(http: httpx.Client, database: TestDatabase) -> None:
    http.post(SERVICES, json=SHOP)
    execute(database.owner, FILL_REVISIONS, 12)
    path = f"{SERVICES}/shop/revisions"
    found = pages(http, f"{path}?limit=5")
    assert [len(page) for page in found] == [5, 5, 2]
    assert [name for page in found for name in page] == [f"shop-{n}" for n in range(12, 0, -1)]
    # One that is made meanwhile is newer than all of the next page.
    first = http.get(f"{path}?limit=5")
    execute(database.owner, FILL_REVISIONS.replace("generate_series(1,", "generate_series(13,"), 20)
    following = next_page(first)
    assert following
    assert [each["name"] for each in http.get(following).json()] == found[1]


def test_what_became_of_a_service_comes_in_pages(http: httpx.Client) -> None:
    http.post(SERVICES, json=SHOP)
    for port in range(80, 86):
        http.patch(f"{SERVICES}/shop", json={"port": port})
    path = f"{SERVICES}/shop/events"
    found, following = [], f"{path}?limit=3"
    while following:
        answer = http.get(following)
        found.append([entry["generation"] for entry in answer.json()])
        following = next_page(answer) or ""
    assert found == [[7, 6, 5], [4, 3, 2], [1]]


def test_a_page_goes_on_where_the_service_was_that_is_gone(
    http: httpx.Client, database: TestDatabase
) -> None:
    names = filled(database, 9)
    following = next_page(http.get(f"{SERVICES}?limit=3"))
    assert following
    execute(database.owner, "delete from services where name <= 'shop-0004'")
    assert [each["name"] for each in http.get(following).json()] == names[4:7]


@pytest.mark.parametrize(
    "path", [SERVICES, f"{SERVICES}/shop/revisions", f"{SERVICES}/shop/events"]
)
def test_a_wrong_query_names_its_parameter(http: httpx.Client, path: str) -> None:
    http.post(SERVICES, json=SHOP)
    for query, field in {
        "limit=0": "limit",
        "limit=501": "limit",
        "cursor=shop": "cursor",
        "curser=IjEi": "curser",
        "cursor=ImEi%27 or 1=1": "cursor",
    }.items():
        assert_refusal(http.get(f"{path}?{query}"), "invalid_field", field)


def test_the_client_library_returns_all_pages(api: str, database: TestDatabase) -> None:
    names = filled(database, 250)
    with Client(api) as client:
        assert [each.name for each in client.list_services()] == names


@pytest.fixture
async def worker(database: TestDatabase, anyio_backend: str) -> AsyncIterator[Database]:
    opened = Database(database.worker)
    yield opened
    await opened.close()


async def listed(http: httpx.AsyncClient, limit: int) -> list[str]:
    found: list[str] = []
    following: str | None = f"{SERVICES}?limit={limit}"
    while following:
        answer = await http.get(following)
        found += [entry["name"] for entry in answer.json()]
        following = next_page(answer)
    return found


@pytest.mark.anyio
async def test_500_services_are_listed_completely_while_others_come_and_go(
    api: str, database: TestDatabase, worker: Database
) -> None:
    """Others are made and deleted before, among and behind those that stay, all the time."""
    stay = filled(database, 500)
    come_and_gone: list[str] = []
    enough = asyncio.Event()

    async def churn(prefix: str) -> None:
        while not enough.is_set():
            row = await created(worker, prefix)
            await deleting(worker, prefix)
            await convergence.remove(worker, row)
            come_and_gone.append(prefix)

    others = ["a", "shop-0001-x", "shop-0250-x", "shop-0499-x", "z"]
    listings = []
    async with httpx.AsyncClient(base_url=api) as http, asyncio.TaskGroup() as tasks:
        for name in others:
            tasks.create_task(churn(name))
        for limit in cycle((7, 37, 100, 499, 500)):
            listings.append(await listed(http, limit))
            if len(listings) >= 5 and len(come_and_gone) >= 200:
                break
        enough.set()
    for found in listings:
        assert found == sorted(set(found))
        assert [name for name in found if name not in others] == stay

"""The sample service, as a process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.local.nursery import SAMPLE, Nursery, get, nursery, revision, variables
from tests.local.standins import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Nursery]:
    async with nursery(tmp_path) as made:
        yield made


async def test_its_page(here: Nursery) -> None:
    plain = here.start(revision(SAMPLE, name="shop"))
    greeting = here.start(revision(SAMPLE, env=variables({"TARGET": "wörld"})))
    await until(lambda: plain.ready and greeting.ready)
    answer = await get(plain, "/any/path?x=1")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith("Hello from max-cloud\n")
    for word in ("shop-00001", plain.pod, "maxcloud deploy --name shop --env TARGET="):
        assert word in answer.text
    assert (await get(greeting)).text.startswith("Hello wörld\n")
    assert "GET /any/path?x=1" in here.output(plain)
    assert "listening on port" in here.output(plain)


async def test_it_holds_requests(here: Nursery) -> None:
    instance = here.start(revision(SAMPLE))
    await until(lambda: instance.ready)
    begin = asyncio.get_running_loop().time()
    await asyncio.gather(*(get(instance, "/?sleep=0.3") for _ in range(8)))
    passed = asyncio.get_running_loop().time() - begin
    assert 0.3 <= passed < 0.3 * 8
    for wrong in ("nan", "soon"):
        answer = await get(instance, f"/?sleep={wrong}")
        assert (answer.status_code, answer.text) == (
            *(400,),
            "sleep must be a number of seconds, such as ?sleep=0.5\n",
        )
    for little in ("-1", "-inf", "0", ""):
        assert (await get(instance, f"/?sleep={little}")).status_code == 200


async def test_a_connection_serves_many_requests(here: Nursery) -> None:
    instance = here.start(revision(SAMPLE))
    await until(lambda: instance.ready)
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(trust_env=False, limits=limits) as client:
        streams = set()
        for _ in range(3):
            answer = await client.get(f"http://{instance.address}/")
            streams.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(streams) == 1


async def test_it_ends_after_what_it_is_doing(here: Nursery) -> None:
    instance = here.start(revision(SAMPLE))
    await until(lambda: instance.ready)
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get(f"http://{instance.address}/")  # a connection that stays
        asked = asyncio.create_task(get(instance, "/?sleep=0.8"))
        await asyncio.sleep(0.2)
        await instance.stop()
        answer = await asked
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"

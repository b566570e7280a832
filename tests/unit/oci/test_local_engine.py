"""Images that the local engine is asked about."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from maxcloud import oci
from maxcloud.errors import TemporaryError
from maxcloud.oci import Image, ImageRefused
from tests.conftest import served
from tests.unit.oci.registry import SHA

pytestmark = pytest.mark.anyio


async def engine_says(status: int, said: object, text: str = "localhost/shop:1") -> Image:
    """Resolve a local image against an engine that answers this."""

    async def answer(request: Request) -> Response:
        assert request.query_params["reference"] == text
        return JSONResponse(said, status)

    with served(Starlette(routes=[Route("/images", answer)])) as url:
        return await asyncio.to_thread(asyncio.run, oci.resolve(text, local_images=f"{url}/images"))


@pytest.mark.parametrize("text", ["localhost/shop:1", "maxcloud.local/hello"])
async def test_the_local_engine_knows_its_own_images(text: str) -> None:
    said = {"digest": SHA, "exposed_ports": {"8012/tcp": {}, "90/tcp": {}, "53/udp": {}}}
    assert await engine_says(200, said, text) == Image(SHA, 90)


async def test_what_the_local_engine_has_not_is_refused_in_its_words() -> None:
    said = {"reason": "NoContainerEngine", "error": "install one"}
    with pytest.raises(ImageRefused, match="install one") as refused:
        await engine_says(404, said)
    assert refused.value.reason == "NoContainerEngine"


@pytest.mark.parametrize(("status", "said"), [(500, {}), (200, {}), (200, []), (404, "gone")])
async def test_a_local_engine_in_trouble_is_asked_again(status: int, said: object) -> None:
    with pytest.raises(TemporaryError, match="local engine"):
        await engine_says(status, said)


async def test_without_a_local_engine_its_images_do_not_exist() -> None:
    with pytest.raises(ImageRefused, match="localhost is not a public registry"):
        await oci.resolve("localhost/shop:1")

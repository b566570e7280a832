"""What the functions hear of images that no registry has."""

import hashlib
import inspect
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from maxcloud import oci
from maxcloud_local.instances import images, sample
from maxcloud_local.instances.engines import Engines

pytestmark = pytest.mark.anyio


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Where the functions ask."""
    runner = web.AppRunner(images.app(Engines()))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/images"
    await runner.cleanup()


@pytest.mark.parametrize("name", ["maxcloud.local/hello", "maxcloud.local/hello:1"])
async def test_the_sample(address: str, name: str) -> None:
    digest = hashlib.sha256(inspect.getsource(sample).encode()).hexdigest()
    found = await oci.resolve(name, local_images=address)
    assert found == oci.Image(f"sha256:{digest}", None)


@pytest.mark.parametrize("name", ["maxcloud.local/other", "maxcloud.local/hello/x"])
async def test_there_is_one_sample(address: str, name: str) -> None:
    with pytest.raises(oci.ImageRefused, match=r"maxcloud\.local/hello") as raised:
        await oci.resolve(name, local_images=address)
    assert raised.value.reason == "ImageNotFound"


async def test_without_an_engine(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(oci.ImageRefused, match="install Podman") as raised:
        await oci.resolve("localhost/shop", local_images=address)
    assert raised.value.reason == "NoContainerEngine"

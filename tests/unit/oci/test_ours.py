"""Images of the platform's own registry."""

from pathlib import Path

import pytest

from maxcloud import oci
from maxcloud.oci import Image, ImageRefused, Ours
from tests.unit.oci.registry import Registry, serving

pytestmark = pytest.mark.anyio


def ours(registry: Registry, asked: list[str]) -> Ours:
    def token(repository: str) -> str | None:
        asked.append(repository)
        return "ours" if repository.startswith("team/") else None

    return Ours("registry.test", f"https://{registry.address}", token)


async def look(registry: Registry, text: str, asked: list[str]) -> Image:
    return await oci.resolve(text, ours=ours(registry, asked))


async def test_our_registry_is_asked_where_it_is_with_a_token_made_here(
    registry: Registry,
) -> None:
    digest, asked = registry.add(ExposedPorts={"80/tcp": {}}), list[str]()
    registry.token = "ours"
    for text in ("registry.test/team/app:1", "REGISTRY.test/team/app:1"):
        assert await look(registry, text, asked) == Image(digest, 80)
    assert asked == ["team/app", "team/app"]
    assert {each.headers["authorization"] for each in registry.asked} == {"Bearer ours"}


async def test_what_is_another_organisations_in_our_registry_is_not_there(
    registry: Registry,
) -> None:
    registry.add(repository="their/app")
    registry.token = "ours"
    registry.answer("/token", {"token": "ours"})
    with pytest.raises(ImageRefused, match="does not exist on registry"):
        await look(registry, "registry.test/their/app:1", [])
    # Its challenge is not followed: nobody else's realm gives tokens for it.
    assert [each.path for each in registry.asked] == ["/v2/their/app/manifests/1"]


@pytest.mark.parametrize(
    "host",
    [
        *(
            "registry.test.evil.example",
            "registry.test:443",
            "registry.test:5000",
            "xregistry.test",
        ),
        *("www.registry.test", "registry.tes", "HOST"),
    ],
)
async def test_what_only_looks_like_our_registry_gets_no_token(
    registry: Registry, host: str
) -> None:
    """Not even by the address where ours is: that is as private as all others."""
    registry.add()
    asked: list[str] = []
    host = host.replace("HOST", registry.address)
    with pytest.raises(ImageRefused):
        await look(registry, f"{host}/team/app:1", asked)
    assert asked == []
    assert registry.asked == []


async def test_a_redirect_from_our_registry_is_bound_as_any_other(
    registry: Registry, pem: Path
) -> None:
    registry.add()
    registry.token = "ours"
    with serving(pem) as elsewhere:
        place = f"https://{elsewhere.address}/v2/team/app/manifests/1"
        registry.answer("/v2/team/app/manifests/1", status=307, Location=place)
        with pytest.raises(ImageRefused, match="is not a public registry"):
            await look(registry, "registry.test/team/app:1", [])
        assert elsewhere.asked == []

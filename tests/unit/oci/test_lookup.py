"""What a registry is asked about an image, and what is believed."""

from pathlib import Path

import pytest

from maxcloud import oci
from maxcloud.oci import Image
from tests.unit.oci.registry import SHA, Registry, refused, resolve, serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("exposed", "port"),
    [
        (None, None),
        ({}, None),
        ({"80/tcp": {}}, 80),
        ({"8080": {}, "443/tcp": {}, "53/udp": {}}, 443),
        ({"53/udp": {}}, None),
        ({"0/tcp": {}, "65536/tcp": {}, "x/tcp": {}, "99999999/tcp": {}}, None),
        ({"9090/tcp": {}}, None),
        ({"9090/tcp": {}, "9100/tcp": {}}, 9100),
    ],
)
async def test_an_image_has_a_digest_and_its_lowest_port_that_can_be_used(
    registry: Registry, exposed: dict[str, object] | None, port: int | None
) -> None:
    digest = registry.add(ExposedPorts=exposed)
    assert await resolve(registry) == Image(digest, port)
    first = registry.asked[0]
    assert first.headers["host"] == registry.address
    assert "authorization" not in first.headers
    assert "application/vnd.oci.image.index.v1+json" in first.headers["accept"]


async def test_of_an_index_the_nodes_platform_is_read_and_the_whole_is_pinned(
    registry: Registry,
) -> None:
    ours = registry.add("ours", ExposedPorts={"3000/tcp": {}})
    other = registry.add("other", ExposedPorts={"1/tcp": {}})
    platforms = {"linux/arm64": other, "windows/amd64": other, "linux/amd64": ours}
    digest = registry.add_index("1", platforms)
    assert await resolve(registry) == Image(digest, 3000)


async def test_an_index_without_the_nodes_platform_is_refused(registry: Registry) -> None:
    registry.add_index("1", {"linux/arm64": registry.add("other")})
    assert await refused(registry) == (
        "ImageInvalid",
        "HOST/team/app:1 has no build for linux/amd64",
    )


async def test_a_digest_is_computed_and_not_believed(registry: Registry) -> None:
    digest = registry.add()
    _, _, manifest = registry.answers["/v2/team/app/manifests/1"]
    registry.answer("/v2/team/app/manifests/1", manifest, Docker_Content_Digest=SHA)
    assert (await resolve(registry)).digest == digest
    registry.answer(f"/v2/team/app/manifests/{SHA}", manifest, Docker_Content_Digest=SHA)
    assert await refused(registry, f"team/app@{SHA}") == ("ImageInvalid", "HOST sent another image")
    assert (await resolve(registry, f"team/app:1@{digest}")).digest == digest


async def test_a_token_is_fetched_where_the_challenge_says(registry: Registry) -> None:
    digest = registry.add()
    registry.token = "let-me-in"
    registry.answer("/token", {"token": "let-me-in"})
    assert (await resolve(registry)).digest == digest
    asked = [each for each in registry.asked if each.path == "/token"]
    assert [each.query for each in asked] == [
        {"service": ["the registry"], "scope": ["repository:team/app:pull"]}
    ]


@pytest.mark.parametrize("content", [{"access_token": "let-me-in"}, {"token": "let-me-in"}])
async def test_a_token_has_two_names(registry: Registry, content: dict[str, str]) -> None:
    registry.add()
    registry.token = "let-me-in"
    registry.answer("/token", content)
    await resolve(registry)


async def test_a_redirect_is_followed_without_the_token(registry: Registry, pem: Path) -> None:
    registry.add(ExposedPorts={"80/tcp": {}})
    registry.token = "let-me-in"
    registry.answer("/token", {"token": "let-me-in"})
    [blob] = [path for path in registry.answers if "/blobs/" in path]
    with serving(pem) as elsewhere:
        elsewhere.answers[blob] = registry.answers[blob]
        registry.answer(blob, status=307, Location=f"https://{elsewhere.address}{blob}")
        hosts = frozenset({registry.address, elsewhere.address})
        image = await oci.resolve(f"{registry.address}/team/app:1", hosts)
        assert image.exposed_port == 80
        [asked] = elsewhere.asked
        assert "authorization" not in asked.headers
        assert registry.asked[-1].headers["authorization"] == "Bearer let-me-in"


async def test_a_redirect_to_where_a_tenant_may_not_go_is_refused(registry: Registry) -> None:
    for location in ("https://127.0.0.1:1/x", "https://169.254.169.254/x", "https://[::1]/x"):
        registry.answer("/v2/team/app/manifests/1", status=302, Location=location)
        reason, said = await refused(registry)
        assert (reason, said.partition(" ")[2]) == ("ImageNotFound", "is not a public registry")

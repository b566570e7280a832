"""What a registry is asked about an image, and what is believed: over real HTTPS."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from maxcloud import oci
from maxcloud.errors import TemporaryError
from maxcloud.oci import Image, ImageRefused, Ours
from maxcloud.references import Reference
from tests.conftest import served
from tests.unit.registry import Registry, certificate, digest_of, serving

pytestmark = pytest.mark.anyio

SHA = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("nginx", "docker.io", "library/nginx", "latest", None),
        ("nginx:1.29", "docker.io", "library/nginx", "1.29", None),
        ("team/app", "docker.io", "team/app", "latest", None),
        ("docker.io/nginx", "docker.io", "library/nginx", "latest", None),
        ("docker.io/a/b:c", "docker.io", "a/b", "c", None),
        ("ghcr.io/a/b/c:v1", "ghcr.io", "a/b/c", "v1", None),
        ("GHCR.io/a", "ghcr.io", "a", "latest", None),
        ("localhost/a", "localhost", "a", "latest", None),
        ("host:5000/a:b", "host:5000", "a", "b", None),
        (f"nginx@{SHA}", "docker.io", "library/nginx", "latest", SHA),
        (f"host:5000/a/b:c@{SHA}", "host:5000", "a/b", "c", SHA),
    ],
)
async def test_a_reference_is_taken_apart_as_docker_does(
    text: str, host: str, repository: str, tag: str, digest: str | None
) -> None:
    reference = Reference.parse(text)
    assert reference == Reference(host, repository, tag, digest)
    assert reference.pinned(SHA) == f"{host}/{repository}@{SHA}"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The registries' certificate, trusted as an operator has it trusted: by SSL_CERT_FILE."""
    made = certificate(tmp_path_factory.mktemp("registry"))
    os.environ["SSL_CERT_FILE"] = str(made.with_suffix(".crt"))
    yield made
    del os.environ["SSL_CERT_FILE"]


@pytest.fixture
def registry(pem: Path) -> Iterator[Registry]:
    with serving(pem) as served:
        yield served


async def resolve(registry: Registry, name: str = "team/app:1") -> Image:
    return await oci.resolve(f"{registry.address}/{name}", frozenset({registry.address}))


async def refused(registry: Registry, name: str = "team/app:1") -> tuple[str, str]:
    with pytest.raises(ImageRefused) as error:
        await resolve(registry, name)
    return error.value.reason, str(error.value).replace(registry.address, "HOST")


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


ANSWERS = {
    "nothing": ((404, {}, b"{}"), "ImageNotFound", "HOST/team/app:1 does not exist on HOST"),
    "private": (
        (401, {"WWW-Authenticate": "Basic realm=x"}, b""),
        "ImageNotFound",
        "HOST/team/app:1 does not exist on HOST, or is private",
    ),
    "forbidden": (
        (403, {}, b""),
        "ImageNotFound",
        "HOST/team/app:1 does not exist on HOST, or is private",
    ),
    "gone": ((410, {}, b""), "ImageInvalid", "HOST refused the look-up with 410"),
    "a web page": ((200, {}, b"<html>"), "ImageInvalid", "HOST is not a registry"),
    "a list": ((200, {}, b"[]"), "ImageInvalid", "HOST is not a registry"),
    "no text": ((200, {}, b"\xff\xfe"), "ImageInvalid", "HOST is not a registry"),
    "deep nesting": ((200, {}, b"[" * 100_000), "ImageInvalid", "HOST is not a registry"),
    "too much": ((200, {}, b" " * (4 * 2**20 + 1)), "ImageInvalid", "HOST answers too much"),
    "a bad encoding": (
        (200, {"Content-Encoding": "gzip"}, b"{}"),
        "ImageInvalid",
        "HOST is not a registry",
    ),
    "a redirect to itself": (
        (302, {"Location": "/v2/team/app/manifests/1"}, b""),
        "ImageInvalid",
        "HOST redirects without an end",
    ),
    "a redirect to nowhere": ((302, {}, b""), "ImageInvalid", "HOST is not a registry"),
    "http": (
        (302, {"Location": "http://127.0.0.1/x"}, b""),
        "ImageInvalid",
        "127.0.0.1 is not reached over https",
    ),
    "no configuration": ((200, {}, b"{}"), "ImageInvalid", "HOST is not a registry"),
    "a configuration that is none": (
        (200, {}, b'{"config": "x"}'),
        "ImageInvalid",
        "HOST is not a registry",
    ),
    "an index of nothing": (
        (200, {}, b'{"manifests": [5]}'),
        "ImageInvalid",
        "HOST is not a registry",
    ),
    "a token that is nowhere": (
        (401, {"WWW-Authenticate": 'Bearer realm="https://999.1.1.1:port/"'}, b""),
        "ImageInvalid",
        "HOST is not a registry",
    ),
    "a redirect to a name that is no host's": (
        (302, {"Location": f"https://{'a' * 64}.com/x"}, b""),
        "ImageInvalid",
        "HOST is not a registry",
    ),
    "a digest that is no text": (
        (200, {}, b'{"config": {"digest": "\\ud800"}}'),
        "ImageInvalid",
        "HOST is not a registry",
    ),
    "a token from a name that is no host's": (
        (401, {"WWW-Authenticate": 'Bearer realm="https://xn--a.com/"'}, b""),
        "ImageInvalid",
        "HOST is not a registry",
    ),
    "a token over http": (
        (401, {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1/token"'}, b""),
        "ImageInvalid",
        "127.0.0.1 is not reached over https",
    ),
    "a token from inside": (
        (401, {"WWW-Authenticate": 'Bearer realm="https://10.0.0.1/token"'}, b""),
        "ImageNotFound",
        "10.0.0.1 is not a public registry",
    ),
}


@pytest.mark.parametrize(("answer", "reason", "said"), ANSWERS.values(), ids=ANSWERS)
async def test_what_no_repetition_mends_is_refused_in_a_sentence(
    registry: Registry, answer: tuple[int, dict[str, str], bytes], reason: str, said: str
) -> None:
    registry.answers["/v2/team/app/manifests/1"] = answer
    assert await refused(registry) == (reason, said)


@pytest.mark.parametrize("host", [f"{'a' * 64}.com", "xn--a.com", f"{'a' * 64}.com:443"])
async def test_a_host_that_is_no_name_is_no_registry(host: str) -> None:
    with pytest.raises(ImageRefused, match="is not a registry") as error:
        await oci.resolve(f"{host}/team/app")
    assert error.value.reason == "ImageInvalid"


async def test_a_token_that_no_header_carries_is_refused(registry: Registry) -> None:
    registry.add()
    registry.token = "let-me-in"
    registry.answer("/token", {"token": "lét-me-in"})
    assert await refused(registry) == ("ImageInvalid", "HOST is not a registry")


async def test_what_else_a_registry_says_in_headers_is_not_looked_at(registry: Registry) -> None:
    digest = registry.add()
    _, _, manifest = registry.answers["/v2/team/app/manifests/1"]
    registry.answer("/v2/team/app/manifests/1", manifest, X_Served_By="Gänseblümchen")
    assert (await resolve(registry)).digest == digest


@pytest.mark.parametrize("container", ["x", ["x"], {"ExposedPorts": [80]}, {"ExposedPorts": 5}])
async def test_a_configuration_of_another_shape_is_refused(
    registry: Registry, container: object
) -> None:
    configuration = {"config": container}
    manifest = {"config": {"digest": digest_of(configuration)}}
    registry.answer("/v2/team/app/manifests/1", manifest)
    registry.answer(f"/v2/team/app/blobs/{digest_of(configuration)}", configuration)
    assert await refused(registry) == ("ImageInvalid", "HOST is not a registry")


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_registry_that_is_busy_is_asked_again_later(
    registry: Registry, status: int
) -> None:
    registry.answer("/v2/team/app/manifests/1", status=status)
    with pytest.raises(TemporaryError, match=f"answered {status}$"):
        await resolve(registry)


async def test_a_registry_that_is_away_is_asked_again_later(pem: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(TemporaryError, match=f"^the registry {address} cannot be reached$"):
        await oci.resolve(f"{address}/app", frozenset({address}))


async def test_a_registry_without_a_trusted_certificate_is_not_believed(
    registry: Registry,
) -> None:
    registry.add()
    trusted = os.environ.pop("SSL_CERT_FILE")
    try:
        with pytest.raises(TemporaryError):
            await resolve(registry)
    finally:
        os.environ["SSL_CERT_FILE"] = trusted
    assert registry.asked == []


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1.2.3:5000", "10.0.0.1", "192.168.1.1:443", "172.16.0.1", "0.0.0.1"),
        *("169.254.169.254", "100.64.0.1", "localhost", "localhost:5000", "224.0.0.1"),
        *("2130706433.", "0x7f.1:443"),
    ],
)
async def test_no_address_inside_is_asked(host: str) -> None:
    with pytest.raises(ImageRefused) as error:
        await oci.resolve(f"{host}/team/app", frozenset({"127.0.0.1:9", "example.com"}))
    assert error.value.reason == "ImageNotFound"


# Ways to write an address inside, or to lead there.
INSIDE = [
    *("127.0.0.1", "127.0.0.1:1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1"),
    *("0177.0.0.1", "017700000001", "0", "0.0.0.0", "0.0.0.0:443", "127.255.255.254"),  # noqa: S104
    *("10.0.0.1", "10.1", "167772161", "172.16.0.1", "172.31.255.255", "192.168.1.1", "3232235777"),
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "100.64.0.1", "198.18.0.1", "192.0.0.1"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "localhost", "LOCALHOST", "localhost."),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    *("[::ffff:10.0.0.1]", "[::127.0.0.1]", "[fe80::1]", "[fc00::1]", "[fd12::1]", "[ff02::1]"),
    *("[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[2002:7f00:1::]", "[2001:db8::1]"),
    "[2001:0:53aa:64c:0:0:80ff:fffe]",  # Teredo
    *("me:secret@127.0.0.1", "example.com@127.0.0.1", "127.0.0.1%2f.example.com"),
]


@pytest.mark.parametrize("way", ["redirect", "realm"])
@pytest.mark.parametrize("host", INSIDE)
async def test_no_registry_leads_inside(registry: Registry, way: str, host: str) -> None:
    if way == "redirect":
        place = f"https://{host}/v2/team/app/manifests/1"
        registry.answer("/v2/team/app/manifests/1", status=307, Location=place)
    else:
        challenge = f'Bearer realm="https://{host}/token",service="x"'
        registry.answer("/v2/team/app/manifests/1", status=401, WWW_Authenticate=challenge)
    # What is no URL at all counts as a broken answer, which is asked for again.
    with pytest.raises((ImageRefused, TemporaryError)):
        await resolve(registry)
    assert [each.path for each in registry.asked] == ["/v2/team/app/manifests/1"]


@pytest.mark.parametrize("scheme", ["http", "ftp", "file", "gopher", "ws", "unix", "data"])
async def test_no_registry_leads_to_another_protocol(registry: Registry, scheme: str) -> None:
    place = f"{scheme}://{registry.address}/v2/team/app/manifests/2"
    registry.answer("/v2/team/app/manifests/1", status=302, Location=place)
    with pytest.raises(ImageRefused):
        await resolve(registry)
    assert len(registry.asked) == 1


@pytest.mark.parametrize(
    "answers",
    [[["127.0.0.1"]], [["93.184.215.14", "10.0.0.1"]], [["::1"]], [["2606:2800::1", "fe80::1"]]],
)
async def test_a_name_that_means_an_address_inside_too_is_not_asked(
    answers: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", Names(answers))
    with pytest.raises(ImageRefused, match="is not a public registry"):
        await oci.resolve("rebind.example.com/team/app")


async def test_a_name_is_looked_up_once_for_each_connection(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it means by the time of the connection does not count: the checked address does."""
    port = registry.address.rpartition(":")[2]
    names = Names([["127.0.0.1"], ["10.0.0.1"]])
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names)
    # The name of the certificate is another, so that the connection ends there.
    with pytest.raises(TemporaryError):
        await oci.resolve(
            f"rebind.example.com:{port}/team/app", frozenset({f"rebind.example.com:{port}"})
        )
    assert names.asked == ["rebind.example.com"]


class Names:
    """Answers look-ups of names in turn, as a server does that says something else each time."""

    def __init__(self, answers: list[list[str]]) -> None:
        self._answers = iter(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        return [(0, 0, 0, "", (address, port)) for address in next(self._answers)]


async def test_a_private_host_is_reached_only_on_the_port_that_is_listed(
    registry: Registry,
) -> None:
    digest = registry.add()
    image = f"{registry.address}/team/app:1"
    host = registry.address.partition(":")[0]
    assert (await oci.resolve(image, frozenset({host}))).digest == digest
    with pytest.raises(ImageRefused):
        await oci.resolve(image, frozenset({f"{host}:1"}))


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

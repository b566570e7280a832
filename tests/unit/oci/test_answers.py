"""What a registry may answer, and what becomes of the look-up then."""

import os
import socket
from pathlib import Path

import pytest

from maxcloud import oci
from maxcloud.errors import TemporaryError
from maxcloud.oci import ImageRefused
from tests.unit.oci.registry import Registry, digest_of, refused, resolve

pytestmark = pytest.mark.anyio

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

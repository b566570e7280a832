"""Where a look-up never goes, whoever leads it there."""

import asyncio
from typing import Any

import pytest

from maxcloud import oci
from maxcloud.errors import TemporaryError
from maxcloud.oci import ImageRefused
from tests.unit.oci.registry import Registry, resolve

pytestmark = pytest.mark.anyio


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

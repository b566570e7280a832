"""Which request goes where, on the one port of the platform."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from maxcloud_local.gateway import gateway
from maxcloud_local.gateway.gateway import Gateway, routes_of
from maxcloud_local.kinds import INGRESS, SERVICE
from tests.local.standins import until
from tests.local.world import World, listening, nobody, world

pytestmark = pytest.mark.anyio

ROUTE = Path(__file__).parents[2] / "deploy" / "base" / "route.yaml"

FUNCTIONS = ("health", "logs", "services")


def ingress(host: str = "localhost") -> dict[str, Any]:
    """The platform's own, for a machine of one's own."""
    [found] = [
        each
        for each in yaml.safe_load_all(ROUTE.read_text(encoding="utf-8"))
        if each["kind"] == INGRESS.name
    ]
    found["spec"]["rules"][0]["hosts"] = [host]
    made: dict[str, Any] = found
    return made


class Front:
    """A gateway with the platform's route, two functions and the services of a test."""

    def __init__(self, here: World, client: aiohttp.ClientSession) -> None:
        self.world, self._client = here, client
        self.port = 0
        self.seen: list[tuple[str, web.Request]] = []

    async def ask(
        self, host: str, path: str = "/", method: str = "GET", **options: Any
    ) -> tuple[int, str]:
        headers = {"Host": host.replace("PORT", str(self.port)), **options.pop("headers", {})}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self._client.request(method, url, headers=headers, **options) as answer:
            return answer.status, await answer.text()

    async def service(self, name: str, **settings: Any) -> None:
        async def answer(request: web.Request) -> web.Response:
            self.seen.append((name, request))
            return web.Response(text=name)

        await self.world.service(name, answer, **settings)


@asynccontextmanager
async def front(
    functions: Iterable[str] = FUNCTIONS, registry: str | None = None
) -> AsyncIterator[Front]:
    async with world() as here, aiohttp.ClientSession() as client:
        made = Front(here, client)
        bound = listening()
        port = bound.getsockname()[1]
        served = Gateway(here.store, here.serving, here.forwarder, port, registry)
        made.port = await here.serve(served.runner(), bound)
        here.store.create(INGRESS, ingress())
        for name in functions:
            await made.service(name, namespace="mc-system", inside=True)
        here.follow(served.run)
        await until(lambda: "status" in here.store.all(INGRESS)[0])
        yield made


@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("/api/v1/services", "services"),
        ("/api/v1/services/x?y=/api/v1/version", "services"),
        ("/api/v1/services/a%0Ab%0D%00%FF", "services"),
        ("/api/v1/servicesx", "services"),  # Kourier's prefixes are those of a text
        ("/api/v1/openapi.json", "health"),
        ("/healthz", "health"),
    ],
)
@pytest.mark.parametrize("host", ["localhost:PORT", "LocalHost", "localhost:1"])
async def test_the_longest_prefix_wins(path: str, function: str, host: str) -> None:
    async with front() as door:
        assert await door.ask(host, path) == (200, function)


@pytest.mark.parametrize(
    ("path", "accepted", "function"),
    [
        ("/api/v1/services/x/logs", ["text/event-stream"], "logs"),
        ("/api/v1/services/x/logs", ["text/event-stream, */*"], "services"),
        ("/api/v1/services/x/logs", ["text/event-stream", "*/*"], "services"),
        ("/api/v1/services/x/logs", ["TEXT/event-stream"], "services"),
        ("/api/v1/logs/x", ["text/event-stream"], "logs"),
        ("/api/v1/version", ["text/event-stream"], "health"),
    ],
)
async def test_a_header_that_fits_exactly_leads_elsewhere(
    path: str, accepted: list[str], function: str
) -> None:
    async with front() as door:
        headers = [("Host", "localhost"), *(("Accept", each) for each in accepted)]
        url = f"http://127.0.0.1:{door.port}{path}"
        async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as answer:
            assert await answer.text() == function


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1/", "/api/v2/services", "//healthz"])
async def test_an_unknown_path_wakes_nobody(path: str) -> None:
    async with front() as door:
        assert await door.ask("localhost:PORT", path) == (404, "")
        assert door.seen == []


async def test_a_function_that_is_missing_fails_alone() -> None:
    async with front(["health"]) as door:
        assert await door.ask("localhost:PORT", "/api/v1/services") == (404, "")
        assert await door.ask("localhost:PORT", "/healthz") == (200, "health")


async def test_the_function_hears_who_really_connected() -> None:
    async with front() as door:
        for sent in ({}, {"X-MaxCloud-Client": "10.9.9.9"}):
            await door.ask("localhost:PORT", "/api/v1/services", headers=sent)
        heard = [request.headers.getall("x-maxcloud-client") for _, request in door.seen]
        assert heard == [["127.0.0.1"], ["127.0.0.1"]]
        assert door.seen[0][1].headers["Host"] == f"localhost:{door.port}"


@pytest.mark.parametrize(
    ("method", "headers", "status", "code"),
    [
        ("POST", {"Origin": "http://evil.example"}, 403, "forbidden"),
        ("DELETE", {"Sec-Fetch-Site": "cross-site"}, 403, "forbidden"),
        ("POST", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ],
)
async def test_a_web_page_does_not_reach_the_api(
    method: str, headers: dict[str, str], status: int, code: str
) -> None:
    async with front() as door, aiohttp.ClientSession() as client:
        async with client.request(
            method,
            f"http://127.0.0.1:{door.port}/api/v1/services",
            headers={"Host": f"localhost:{door.port}", **headers},
            data=b"{}",
        ) as answer:
            said = await answer.json()
        assert (answer.status, said["code"]) == (status, code)
        assert set(said) == {"error", "code", "request_id"}
        assert answer.headers["X-Request-Id"] == said["request_id"]
        assert door.seen == []


async def test_the_apis_own_page_reaches_it() -> None:
    async with front() as door:
        origin = {"Origin": f"http://localhost:{door.port}", "Sec-Fetch-Site": "same-origin"}
        answer = await door.ask(
            "localhost:PORT", "/api/v1/services", "POST", headers=origin, json={}
        )
        assert answer == (200, "services")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:PORT",
        "localhost.",
        "services.mc-system.svc.cluster.local",
        "health.localhost:PORT",
        "nobody.localhost:PORT",
        ".localhost",
        "a.hello.localhost",
        "hello--nobody.localhost",
        "127.0.0.2",
    ],
)
async def test_a_host_that_is_not_ours(host: str) -> None:
    async with front() as door:
        await door.service("hello")
        assert await door.ask(host, "/healthz") == (404, "")
        assert door.seen == []


@pytest.mark.parametrize("host", ["127.0.0.1:PORT", "[::1]:PORT", "127.0.0.1"])
async def test_an_address_is_answered_with_the_name(host: str) -> None:
    async with front() as door:
        status, said = await door.ask(host, "/api/v1/services")
        assert (status, said.count("\n")) == (404, 1)
        assert f"http://localhost:{door.port}" in said


async def test_services_by_name_and_tag() -> None:
    async with front() as door:
        tagged = [{"latestRevision": True, "percent": 100, "tag": "pr-7"}]
        await door.service("hello", traffic=tagged)
        await door.service("other", namespace="elsewhere")
        for host in ("hello.localhost:PORT", "HELLO.localhost", "hello--pr-7.localhost:PORT"):
            assert await door.ask(host, "/any?x") == (200, "hello")
        assert await door.ask("other.localhost") == (200, "other")
        # A page of a tenant's may be asked by any page.
        sent = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
        answer = await door.ask("hello.localhost", "/", "POST", headers=sent, data=b"x")
        assert answer == (200, "hello")


async def test_tables_follow_the_store() -> None:
    async with front() as door:
        await door.service("hello")
        assert (await door.ask("hello.localhost"))[0] == 200
        door.world.store.delete(SERVICE, "default", "hello")
        assert (await door.ask("hello.localhost"))[0] == 404
        door.world.store.delete(INGRESS, "mc-system", "api")
        assert (await door.ask("localhost:PORT", "/healthz"))[0] == 404
        again = ingress("api.localhost")
        door.world.store.create(INGRESS, again)
        assert await door.ask("api.localhost", "/healthz") == (200, "health")
        again["spec"]["rules"][0]["http"]["paths"] = [{"path": "/healthz"}, {}]
        door.world.store.replace(INGRESS, again)
        assert (await door.ask("api.localhost", "/healthz"))[0] == 404


async def test_an_ingress_says_that_it_is_ready() -> None:
    async with front() as door:
        [found] = door.world.store.all(INGRESS)
        said = {each["type"]: each["status"] for each in found["status"]["conditions"]}
        assert said["Ready"] == "True"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200"),
        (b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200"),
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"404"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA b: c\r\n\r\n", b"400"),
        (b"GET /healthz\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", b"4"),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"x" * 70_000), b"4"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n" % (b"x" * 70_000), b"4"),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
            % b"".join(b"X-%d: %s\r\n" % (n, b"x" * 10_000) for n in range(7)),
            b"431",
        ),
    ],
)
async def test_any_bytes(sent: bytes, status: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with front() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(sent)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        writer.close()
        await writer.wait_closed()
    assert answer.split()[1].startswith(status), answer
    assert b"Traceback" not in answer
    assert caplog.text == ""


async def test_a_connection_is_used_again() -> None:
    async with front() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        for _ in range(3):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await asyncio.wait_for(reader.readuntil(b"health"), 10)).startswith(
                b"HTTP/1.1 200"
            )
        writer.close()
        await writer.wait_closed()


def test_a_host_belongs_to_the_first_ingress() -> None:
    first, second = ingress(), ingress()
    second["spec"]["rules"][0]["http"]["paths"] = []
    assert len(routes_of([first, second])["localhost"]) == len(
        first["spec"]["rules"][0]["http"]["paths"]
    )
    assert routes_of([{"spec": {}}, {"spec": {"rules": [{"hosts": ["h"]}]}}]) == {"h": []}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST:8080", "localhost"),
        ("[::1]:80", "[::1]"),
        ("[::1]", "[::1]"),
        ("localhost:x", "localhost:x"),
        ("", ""),
    ],
)
def test_bare(host: str, name: str) -> None:
    assert gateway.bare(host) == name


async def test_the_registrys_host_leads_to_it_and_its_answers_back() -> None:
    seen: list[tuple[str, str, bytes, str]] = []

    async def answer(request: web.Request) -> web.Response:
        body, host = await request.read(), request.headers["Host"]
        seen.append((request.method, request.path_qs, body, host))
        return web.Response(status=202, headers={"Location": "/v2/x", "Docker-X": "y"})

    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", answer)
    async with world() as there:
        bound = listening()
        port = await there.serve(web.AppRunner(app), bound)
        async with front(registry=f"127.0.0.1:{port}") as here:
            large = b"x" * 2**22
            status, _ = await here.ask(
                "Registry.localhost:PORT", "/v2/a%2Fb?c=d", "PATCH", data=io.BytesIO(large)
            )
            assert status == 202
            assert seen == [("PATCH", "/v2/a%2Fb?c=d", large, f"Registry.localhost:{here.port}")]


async def test_without_a_registry_its_host_says_what_to_install() -> None:
    async with front() as here:
        status, said = await here.ask("registry.localhost:PORT", "/v2/")
        assert status == 503
        assert "make registry" in said
    gone = await nobody()
    async with front(registry=gone) as here:
        assert (await here.ask("registry.localhost:PORT", "/v2/"))[0] == 502

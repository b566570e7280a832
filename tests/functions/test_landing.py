"""The pages that links in mails lead to, in a real browser where there is one."""

import asyncio
import base64
import hashlib
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from maxcloud.http import Api
from maxcloud.roles import Role
from tests.conftest import TestDatabase
from tests.functions.people import AUTH, Organisation, caller, installation
from tests.functions.test_auth import proof
from tests.functions.test_invites import members, token_of
from tests.local.test_browser import BROWSER, OPTIONS

PAGES = [f"{AUTH}/verify", f"{AUTH}/accept-invite"]


@pytest.fixture
def url(database: TestDatabase, apis: dict[str, Api]) -> Iterator[str]:
    with installation(apis, database) as running:
        yield running


@pytest.mark.parametrize("path", PAGES)
def test_a_page_runs_its_own_script_and_nothing_else(url: str, path: str) -> None:
    with caller(url) as anybody:
        answer = anybody.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        [inline] = re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Any]:
    """Start a browser; what it gives runs an expression in its page, after going to an address."""
    assert BROWSER is not None
    command = [*OPTIONS, "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
    process = await asyncio.create_subprocess_exec(
        BROWSER, *command, stderr=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while b"DevTools listening on" not in (line := await process.stderr.readline()):
                assert line, "the browser ended"
            port = line.decode().partition("127.0.0.1:")[2].partition("/")[0]
            async with session.get(f"http://127.0.0.1:{port}/json") as listed:
                [page] = [each for each in await listed.json() if each["type"] == "page"]
            async with session.ws_connect(page["webSocketDebuggerUrl"]) as socket:

                async def ask(method: str, **params: object) -> Any:
                    await socket.send_json({"id": 1, "method": method, "params": params})
                    while (answer := await socket.receive_json()).get("id") != 1:
                        pass
                    return answer["result"]

                yield ask
    finally:
        process.kill()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


LOADED = """new Promise(done =>
  document.readyState === "complete" ? done() : addEventListener("load", () => done()))"""
PRESSED = """new Promise(done => {
  const said = document.querySelector("pre");
  new MutationObserver(() => done(said.textContent)).observe(said, {childList: true});
  document.querySelector("button").click();
})"""


async def press(ask: Any, address: str) -> str:
    """Go to a page, press its button and return what it then says."""
    await ask("Page.navigate", url=address)
    await evaluate(ask, LOADED)
    assert await evaluate(ask, "location.hash") == ""
    return str(await evaluate(ask, PRESSED))


async def evaluate(ask: Any, expression: str) -> Any:
    said = await ask("Runtime.evaluate", expression=expression, awaitPromise=True)
    return said["result"].get("value")


@pytest.mark.anyio
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
async def test_a_link_is_followed_and_a_button_pressed(
    url: str, database: TestDatabase, tmp_path: Path
) -> None:
    member = Organisation(database).member(Role.ADMIN, is_verified=False)
    joined = Organisation(database, "<b>Müller</b>")
    token = token_of(database, joined.invitation("bob@example.test"))
    async with browser(tmp_path / "profile") as ask:
        assert await press(ask, f"{url}{AUTH}/verify#{proof(member)}") == "✓"
        said = await press(ask, f"{url}{AUTH}/accept-invite#{token}")
        again = await press(ask, f"{url}{AUTH}/accept-invite?again#{token}")
    assert said.startswith("✓ <b>Müller</b>: member\n\nmaxcloud auth login\n\nmc_")
    assert again == "this invitation was accepted already"
    assert members(joined) == 1
    async with httpx.AsyncClient(base_url=url) as client:
        headers = {"Authorization": f"Bearer {said.rpartition(chr(10))[2]}"}
        status = await client.get(f"{AUTH}/status", headers=headers)
    assert status.json()["verified"] is True

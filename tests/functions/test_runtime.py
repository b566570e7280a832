"""Functions as processes: how they start, answer, log and end."""

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import FUNCTIONS, TestDatabase
from tests.functions.support import SERVICES, SHOP, assert_refusal
from tests.ports import free_port

RUNTIME = [sys.executable, "-m", "maxcloud.runtime"]
FRAMEWORK = [str(Path(sys.executable).parent / "functions-framework")]

ECHO = """
from functions_framework.aio import http
from starlette.requests import Request
from starlette.responses import JSONResponse

async def app(scope, receive, send):
    request = Request(scope, receive)
    body = (await request.body()).decode()
    said = {"method": request.method, "path": request.url.path, "body": body}
    await JSONResponse(said, 207)(scope, receive, send)

@http
async def echo(request):
    return app
"""


def environment(**settings: str) -> dict[str, str]:
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    local = {"DEV_MODE": "true", "MAXCLOUD_DOMAIN": "localhost:8080"}
    return kept | local | settings


def of_function(name: str, database_url: str) -> dict[str, str]:
    """Return the variables that say which function a process is, and where its rows are."""
    source = str(FUNCTIONS / f"{name}.py")
    return {"FUNCTION_TARGET": name, "FUNCTION_SOURCE": source, "DATABASE_URL": database_url}


def wait_for(process: subprocess.Popen[str], port: int) -> None:
    """Return when somebody listens on the port; the process has ten seconds for it."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"nobody listened: {process.communicate()}")


@contextmanager
def running(command: list[str], **settings: str) -> Iterator[httpx.Client]:
    """A process that serves; it has to end within five seconds of SIGTERM, without a word."""
    port = free_port()
    process = subprocess.Popen(
        command,
        env=environment(PORT=str(port), **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(process, port)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
        process.send_signal(signal.SIGTERM)
        process.wait(5)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("function", ["health", "services"])
def test_a_function_starts_answers_and_ends(untouched: TestDatabase, function: str) -> None:
    settings = of_function(function, untouched.api)
    with running(RUNTIME, **settings) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        path = {"health": "/readyz", "services": SERVICES}[function]
        assert client.get(path).status_code == 200
        assert_refusal(client.get("/none"), "not_found")
        assert_refusal(client.request("BREW", path), "method_not_allowed")
        assert "server" not in client.get(path).headers


def test_every_line_of_a_function_is_json_and_names_its_request(database: TestDatabase) -> None:
    port = free_port()
    settings = of_function("services", database.api) | {
        "PORT": str(port),
        "K_SINK": "http://127.0.0.1:1",
    }
    process = subprocess.Popen(
        RUNTIME,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(process, port)
        url, named = f"http://127.0.0.1:{port}{SERVICES}", {"X-Request-Id": "asked-1"}
        assert httpx.post(url, json=SHOP, headers=named).status_code == 201
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert errors == ""
    lines = [json.loads(line) for line in output.splitlines()]
    assert {line["function"] for line in lines} == {"services"}
    warned = [line["message"] for line in lines if line["severity"] == "warning"]
    assert warned[0] == "DEV_MODE: whoever reaches this may do everything"
    ours = [line for line in lines if line.get("request_id") == "asked-1"]
    assert [(line["severity"], line["message"]) for line in ours] == [
        ("info", f"POST {SERVICES}"),
        ("warning", "broker did not take the event: All connection attempts failed"),
    ]
    assert ours[0]["status"] == 201
    assert {line["org_id"] for line in ours} == {"00000000-0000-4000-8000-000000000001"}


# tests/unit/test_config.py has every variable; here it is the way out.
WRONG = {
    "DATABASE_URL": "",
    "PORT": "many",
    "FUNCTION_TARGET": "",
    "FUNCTION_SOURCE": "/nowhere.py",
}


@pytest.mark.parametrize(("variable", "value"), WRONG.items())
def test_a_variable_that_makes_no_sense_ends_the_start_with_one_sentence(
    variable: str, value: str
) -> None:
    settings = of_function("health", "postgresql:///none") | {variable: value}
    ended = subprocess.run(
        RUNTIME,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    [sentence] = ended.stderr.splitlines()
    assert variable in sentence


@pytest.mark.parametrize(("function", "needs"), [("reconcile", False), ("services", True)])
def test_only_who_proves_keys_asks_for_the_secret(
    untouched: TestDatabase, function: str, needs: bool
) -> None:
    settings = of_function(function, untouched.api) | {"DEV_MODE": "false"}
    if needs:
        ended = subprocess.run(
            RUNTIME, env=environment(**settings), capture_output=True, text=True, check=False
        )
        assert ended.returncode == 1
        assert ended.stderr.startswith(f"{function}: SECRET_KEY is not set")
    else:
        with running(RUNTIME, **settings) as client:
            assert client.get("/healthz").status_code == 200


def test_headers_may_arrive_in_pieces(untouched: TestDatabase) -> None:
    settings = of_function("services", untouched.api)
    lines = [f"GET {SERVICES} HTTP/1.1", "Host: localhost", "Connection: close"]
    sent = "\r\n".join([*lines, "Authorization: " + "x" * 59_000, "", ""]).encode()
    with running(RUNTIME, **settings) as client:
        address = (client.base_url.host, client.base_url.port or 0)
        with socket.create_connection(address, 10) as connection:
            for piece in (sent[:30_000], sent[30_000:]):
                connection.sendall(piece)
                # It answers in turn: once it has answered this, the piece is read.
                assert client.get("/healthz").status_code == 200
            assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_connection_that_nobody_uses_is_ended_by_its_client(untouched: TestDatabase) -> None:
    settings = of_function("health", untouched.api)
    with running(RUNTIME, **settings) as client:
        address = (client.base_url.host, client.base_url.port)
        with contextlib.closing(http.client.HTTPConnection(*address)) as connection:
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b'{"status":"ok"}'
            # Past the five seconds that uvicorn has by itself: its end would be something to read.
            assert select.select([connection.sock], [], [], 6) == ([], [], [])


def test_functions_framework_itself_serves_a_function(untouched: TestDatabase) -> None:
    command = [*FRAMEWORK, "--target", "services", "--source", str(FUNCTIONS / "services.py")]
    with running(command, DATABASE_URL=untouched.api) as client:
        assert client.get(SERVICES).json() == []
        assert_refusal(client.get(f"{SERVICES}/none"), "not_found")


def test_an_asgi_app_is_an_answer_that_functions_framework_awaits(tmp_path: Path) -> None:
    """What every function file relies on, and functions-framework's documents do not promise."""
    source = tmp_path / "echo.py"
    source.write_text(ECHO, encoding="utf-8")
    command = [*FRAMEWORK, "--target", "echo", "--source", str(source)]
    with running(command) as client:
        answer = client.patch("/some/path", content=b"said")
        assert answer.status_code == 207
        assert answer.json() == {"method": "PATCH", "path": "/some/path", "body": "said"}

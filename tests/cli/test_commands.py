"""`maxcloud` as a process, against a real HTTP server that follows a script."""

import contextlib
import json
import os
import pty
import shlex
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from maxcloud import __version__
from tests.cli.conftest import MAXCLOUD, Maxcloud
from tests.cli.scripted import (
    DIGEST,
    SERVICE_ID,
    Answer,
    ScriptedAPI,
    pending,
    refusal,
    revision,
    service,
)

SERVICES = "/api/v1/services"
BY_NAME = f"{SERVICES}/shop"
BY_ID = f"{SERVICES}/{SERVICE_ID}"
HINT = "Hint: see what there is: `maxcloud list`, `images`, `auth api-keys` or `invite list`"
GONE = refusal(404, "not_found", "there is no service shop")


def without_times(err: str) -> list[str]:
    """The lines of stderr; a step's seconds, which differ, become `N s`."""
    lines = []
    for line in err.splitlines():
        words = line.split()
        if words[:1] in (["✓"], ["✗"], ["+"], ["x"]):
            seconds = words.index("s") - 1
            assert float(words[seconds]) >= 0
            words[seconds] = "N"
            lines.append(" ".join(words))
        else:
            lines.append(line)
    return lines


def test_deploy_creates_a_service_and_shows_how_it_comes_up(
    scripted: ScriptedAPI, maxcloud: Maxcloud
) -> None:
    scripted.script("GET", BY_NAME, GONE)
    scripted.script("POST", SERVICES, Answer(201, pending("Accepted")))
    scripted.script(
        "GET",
        BY_ID,
        Answer(200, pending("ImageResolved", message=f"nginx@{DIGEST}")),
        Answer(503, "no healthy upstream"),
        Answer(200, pending("InstanceStarted", latest_revision="shop-00001")),
        Answer(200, service()),
    )
    done = maxcloud("deploy", "nginx:1.29", "--name", "shop", "--port=80", "--env", "A=1")
    assert done.code == 0
    assert done.out == "http://shop.localhost:8080\n"
    assert without_times(done.err) == [
        "Deploying shop from nginx:1.29",
        "✓ accepted N s",
        "✓ image resolved N s sha256:1a2b3c4d5e6f",
        "✓ revision created N s shop-00001",
        "✓ first instance started N s",
        "✓ ready N s",
    ]
    posted = next(asked.body for asked in scripted.asked if asked.method == "POST")
    assert posted == {"name": "shop", "image": "nginx:1.29", "port": 80, "env_vars": {"A": "1"}}


def test_a_deploy_outlasts_an_api_that_is_away(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    away = Answer(503, "no healthy upstream")
    scripted.script("GET", BY_NAME, GONE)
    scripted.script("POST", SERVICES, Answer(201, pending("Accepted")))
    scripted.script("GET", BY_ID, *[away] * 5, Answer(200, service()))
    done = maxcloud("deploy", "nginx", "--name", "shop")
    assert (done.code, done.out) == (0, "http://shop.localhost:8080\n")


def test_deploy_changes_what_was_given_of_a_service_that_exists(
    scripted: ScriptedAPI, maxcloud: Maxcloud, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("FROM_FILE=1\n")
    scripted.script("GET", BY_NAME, Answer(200, service()))
    changed = service(generation=2, observed_generation=2, latest_revision="shop-00002")
    scripted.script("PATCH", BY_ID, Answer(200, changed))
    options = f"""
        --name shop --command 'sh,-c,"a, b"' --args x,y --args --z --env A=1=2 --remove-env B
        --min 0 --max 3 --concurrency 1 --cpu 500m --memory 1Gi --timeout 60 --port 0
        --env-file {tmp_path}/.env
    """
    done = maxcloud("deploy", *shlex.split(options))
    assert (done.code, done.out) == (0, "http://shop.localhost:8080\n")
    assert scripted.asked[-1].body == {
        "command": ["sh", "-c", "a, b"],
        "args": ["x", "y", "--z"],
        "env_vars": {"FROM_FILE": "1", "A": "1=2", "B": None},
        "min_scale": 0,
        "max_scale": 3,
        "concurrency": 1,
        "cpu": "500m",
        "memory": "1Gi",
        "timeout_seconds": 60,
        "port": 0,
    }
    assert "Deploying shop\n" in done.err


def test_an_unchanged_deploy_says_so(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", BY_NAME, Answer(200, service()))
    written = service(status="pending", reason="Accepted", generation=2)
    scripted.script("PATCH", BY_ID, Answer(200, written))
    scripted.script("GET", BY_ID, Answer(200, service(generation=2, observed_generation=2)))
    done = maxcloud("deploy", "nginx:1.29", "--name", "shop")
    assert (done.code, done.out) == (0, "http://shop.localhost:8080\n")
    assert without_times(done.err)[-1] == "unchanged: shop-00001 still serves"
    assert "revision created" not in done.err


def test_deploy_says_why_it_failed_and_what_still_serves(
    scripted: ScriptedAPI, maxcloud: Maxcloud
) -> None:
    scripted.script("GET", BY_NAME, Answer(200, service()))
    scripted.script("PATCH", BY_ID, Answer(200, service(status="pending", generation=2)))
    broken = service(
        status="failed",
        reason="ExitCode1",
        message="the container ended with exit code 1\nno DATABASE_URL",
        generation=2,
        observed_generation=2,
        latest_revision="shop-00002",
    )
    scripted.script("GET", BY_ID, Answer(200, broken))
    done = maxcloud("deploy", "nginx:1.30", "--name", "shop")
    assert (done.code, done.out) == (1, "")
    assert without_times(done.err) == [
        "Deploying shop from nginx:1.30",
        "✓ accepted N s",
        "✗ failed N s ExitCode1",
        "Error: shop failed (ExitCode1): the container ended with exit code 1",
        "  no DATABASE_URL",
        "  shop-00001 still serves.",
        "Hint: the container ended by itself; run it locally with the same variables to see why",
    ]


def test_a_failure_of_an_older_generation_is_not_this_deploys(
    scripted: ScriptedAPI, maxcloud: Maxcloud
) -> None:
    old = service(status="failed", reason="ExitCode1", generation=1, observed_generation=1)
    scripted.script("GET", BY_NAME, Answer(200, old))
    scripted.script("PATCH", BY_ID, Answer(200, pending("Accepted", generation=2)))
    stale = old | {"generation": 2}
    fine = service(generation=2, observed_generation=2, latest_revision="shop-00002")
    scripted.script("GET", BY_ID, Answer(200, stale), Answer(200, fine))
    done = maxcloud("deploy", "nginx:1.30", "--name", "shop")
    assert done.code == 0
    assert "failed" not in done.err


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_deploy_gives_scripts_the_service(
    scripted: ScriptedAPI, maxcloud: Maxcloud, form: str, read: Any
) -> None:
    scripted.script("GET", BY_NAME, GONE)
    scripted.script("POST", SERVICES, Answer(201, service()))
    done = maxcloud("deploy", "nginx", "--name", "shop", "-o", form)
    assert read(done.out)["name"] == "shop"
    assert "✓ ready" in done.err


def test_quiet_deploy_prints_the_url_alone(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", BY_NAME, GONE)
    scripted.script("POST", SERVICES, Answer(201, service()))
    done = maxcloud("--quiet", "deploy", "nginx", "--name", "shop")
    assert (done.code, done.out, done.err) == (0, "http://shop.localhost:8080\n", "")


def test_no_wait_ends_when_the_deploy_is_accepted(
    scripted: ScriptedAPI, maxcloud: Maxcloud
) -> None:
    scripted.script("GET", BY_NAME, GONE)
    scripted.script("POST", SERVICES, Answer(201, pending("Accepted")))
    done = maxcloud("deploy", "nginx", "--name", "shop", "--no-wait")
    assert (done.code, done.out) == (0, "http://shop.localhost:8080\n")
    assert without_times(done.err)[1:] == ["✓ accepted N s"]
    assert scripted.times_asked("GET", BY_ID) == 0


def test_a_wait_that_runs_out_is_its_own_exit_code(
    scripted: ScriptedAPI, maxcloud: Maxcloud
) -> None:
    scripted.script("GET", BY_NAME, GONE)
    scripted.script("POST", SERVICES, Answer(201, pending("Accepted")))
    scripted.script("GET", BY_ID, Answer(200, pending("Accepted")))
    done = maxcloud("deploy", "nginx", "--name", "shop", "--wait-timeout", "0.3")
    assert (done.code, done.out) == (3, "")
    assert done.err.splitlines()[-2:] == [
        "Error: the wait is over; the deploy of shop goes on",
        "Hint: `maxcloud describe shop` shows how far it is; --wait-timeout waits longer",
    ]


def test_ctrl_c_leaves_the_deploy_going(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", BY_NAME, GONE)
    scripted.script("POST", SERVICES, Answer(201, pending("Accepted")))
    scripted.script("GET", BY_ID, Answer(200, pending("Accepted")))
    with maxcloud.start("deploy", "nginx", "--name", "shop") as process:
        scripted.wait_until_asked("GET", BY_ID)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-2:] == [
        "Error: interrupted; the deploy of shop goes on",
        "Hint: `maxcloud describe shop` shows how far it is",
    ]


def test_ctrl_c_before_the_answer_promises_nothing(
    scripted: ScriptedAPI, maxcloud: Maxcloud
) -> None:
    hold = threading.Event()
    scripted.script("GET", BY_NAME, GONE)
    scripted.script("POST", SERVICES, Answer(201, pending("Accepted"), after=hold))
    try:
        with maxcloud.start("deploy", "nginx", "--name", "shop") as process:
            scripted.wait_until_asked("POST", SERVICES)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
    finally:
        hold.set()
    assert process.returncode == 130
    assert "interrupted before the API answered about the deploy of shop" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("deploy nginx", "Missing option '--name'"),
        ("deploy --name shop", "there is no service shop yet, so deploy needs an image"),
        ("deploy Bad --name shop", "IMAGE: must be an image reference"),
        ("deploy nginx --name Shop", "--name: must be lower-case"),
        ("deploy nginx --name shop --port many", "'--port': Input should be a valid integer"),
        ("deploy nginx --name shop --env A", "--env: 'A' must be KEY=VALUE"),
        ("deploy nginx --name shop --env-file /none", "cannot read /none: No such file"),
        ("deploy nginx --name shop --nonsense", "No such option: --nonsense"),
        ("list --output xml", "Invalid value for '--output'"),
        ("list --api-url localhost:8080", "'localhost:8080' is not an address"),
        ("list --api-key ä", "the API key contains characters that no key has"),
        ("lst", "No such command 'lst'. Did you mean 'list'?"),
        ("describe", "Missing argument 'SERVICE'"),
        ("delete shop", "--yes: deleting without a terminal to ask on needs it"),
    ],
)
def test_wrong_usage_is_a_sentence_and_a_hint(
    scripted: ScriptedAPI, maxcloud: Maxcloud, words: str, sentence: str
) -> None:
    scripted.script("GET", f"{SERVICES}/Shop", GONE)
    scripted.script("GET", BY_NAME, GONE)
    done = maxcloud(*words.split())
    assert (done.code, done.out) == (2, "")
    error, hint = [line for line in done.err.splitlines() if not line.startswith("Deploying")]
    assert sentence in error
    assert error.startswith("Error: ")
    assert hint.startswith("Hint: ")
    assert "Usage" not in done.err
    assert all(asked.method == "GET" for asked in scripted.asked)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (refusal(401, "unauthenticated", "no"), "Error: authentication required"),
        (refusal(409, "name_taken", "no"), "Error: conflict: service name already exists"),
        (refusal(403, "forbidden", "the key may only read"), "Error: the key may only read"),
        (Answer(404, ""), "not as a max-cloud API does"),
        (Answer(reset=True), "closed the connection without an answer"),
    ],
)
def test_a_refusal_is_a_sentence_and_a_hint(
    scripted: ScriptedAPI, maxcloud: Maxcloud, answer: Answer, sentence: str
) -> None:
    scripted.script("GET", BY_NAME, GONE)
    scripted.script("POST", SERVICES, answer)
    done = maxcloud("deploy", "nginx", "--name", "shop")
    assert (done.code, done.out) == (1, "")
    _, error, hint = done.err.splitlines()
    assert sentence in error
    assert hint.startswith("Hint: ")


def test_no_connection_names_the_url(maxcloud: Maxcloud) -> None:
    with socket.socket() as bound:  # bound and not listening: a connection is refused
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        done = maxcloud("list", "--api-url", url)
        assert (done.code, done.out) == (1, "")
        assert done.err.splitlines()[0] == f"Error: cannot connect to API server at {url}"
        version = maxcloud("version", "--api-url", url)
    assert (version.code, version.out) == (0, f"maxcloud {__version__}\n")
    assert f"not reached: cannot connect to API server at {url}" in version.err


def test_version_shows_both_sides(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", "/api/v1/version", Answer(200, {"version": "0.9.0", "commit": "abc"}))
    assert maxcloud("version").out.splitlines() == [
        f"maxcloud {__version__}",
        f"API      0.9.0 (abc) at {scripted.url}",
    ]
    assert maxcloud("version", "-q").out == f"{__version__}\n"
    assert json.loads(maxcloud("-o", "json", "version").out) == {
        "cli": __version__,
        "api": {"version": "0.9.0", "commit": "abc"},
    }


def test_list(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", SERVICES, Answer(200, [service(status="failed")]))
    done = maxcloud("list")
    assert done.out.splitlines() == [
        "NAME  IMAGE       STATUS                       URL",
        "shop  nginx:1.29  failed (serving shop-00001)  http://shop.localhost:8080",
    ]
    assert maxcloud("list", "--quiet").out == f"{SERVICE_ID}\n"
    for words in (["-o", "json", "list"], ["list", "-o", "json"], ["-o", "yaml", "list", "-ojson"]):
        [listed] = json.loads(maxcloud(*words).out)
        assert listed["id"] == str(SERVICE_ID)


def test_an_empty_list_says_how_to_begin(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", SERVICES, Answer(200, []))
    done = maxcloud("list")
    assert done.out == "NAME  IMAGE  STATUS  URL\n"
    assert "maxcloud deploy nginx:1.29 --name shop" in done.err


def test_describe(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", BY_NAME, Answer(200, service(message="Grüße")))
    scripted.script("GET", f"{BY_ID}/revisions", Answer(200, [revision(1, traffic=100)]))
    page = maxcloud("describe", "shop").out
    assert "Status:           ready\n" in page
    assert "shop-00001  100 %" in page
    described = json.loads(maxcloud("describe", "shop", "-o", "json").out)
    assert described["revisions"][0]["digest"] == DIGEST
    assert maxcloud("describe", "shop", "-q").out == "http://shop.localhost:8080\n"
    in_ascii = maxcloud("describe", "shop", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert r"Gr\xfc\xdfe" in in_ascii.out


def test_progress_is_ascii_where_the_terminal_is(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", BY_NAME, GONE)
    scripted.script("POST", SERVICES, Answer(201, service()))
    done = maxcloud(
        *("deploy", "nginx", "--name", "shop"), PYTHONUTF8="0", PYTHONIOENCODING="ascii"
    )
    assert done.err.isascii()
    assert "+ ready N s" in without_times(done.err)


def test_describe_of_nothing(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", BY_NAME, GONE)
    done = maxcloud("describe", "shop")
    assert (done.code, done.err.splitlines()) == (
        1,
        [
            "Error: there is no service shop",
            "Hint: see what there is: `maxcloud list`, `images`, `auth api-keys` or `invite list`",
        ],
    )


def test_delete_waits_until_the_service_is_gone(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", BY_NAME, Answer(200, service()))
    scripted.script("DELETE", BY_ID, Answer(204))
    scripted.script("GET", BY_ID, Answer(200, service(status="deleting")), GONE)
    done = maxcloud("delete", "shop", "--yes")
    assert (done.code, done.out) == (0, "deleted shop\n")
    assert without_times(done.err) == ["Deleting shop", "✓ accepted N s", "✓ gone N s"]
    assert scripted.times_asked("GET", BY_ID) == 2


def test_delete_without_waiting_and_with_too_little(
    scripted: ScriptedAPI, maxcloud: Maxcloud
) -> None:
    scripted.script("GET", BY_NAME, Answer(200, service()))
    scripted.script("DELETE", BY_ID, Answer(204))
    scripted.script("GET", BY_ID, Answer(200, service(status="deleting")))
    done = maxcloud("delete", "shop", "--yes", "--no-wait")
    assert (done.code, done.out) == (0, "deleting shop\n")
    late = maxcloud("delete", "shop", "--yes", "--wait-timeout", "0")
    assert (late.code, late.out) == (3, "")
    assert "the deletion of shop goes on" in late.err


def interrupt(process: "subprocess.Popen[bytes]") -> None:
    """Press Ctrl-C, and again where it was too early.

    CPython's input() does not see a signal that comes after its prompt and before its read.
    """
    for _ in range(6):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
            return


@pytest.mark.parametrize(
    ("reply", "code", "deleted"), [("y\n", 0, 1), ("\n", 1, 0), (signal.SIGINT, 130, 0)]
)
def test_delete_asks_on_a_terminal(
    scripted: ScriptedAPI, maxcloud: Maxcloud, reply: str | signal.Signals, code: int, deleted: int
) -> None:
    scripted.script("GET", BY_NAME, Answer(200, service()))
    scripted.script("DELETE", BY_ID, Answer(204))
    scripted.script("GET", BY_ID, GONE)
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [MAXCLOUD, "delete", "shop"],
            env=maxcloud.env,
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        os.close(theirs)
        seen = b""
        while b"[y/N]:" not in seen:
            seen += os.read(ours, 1024)
        assert b"Delete shop (http://shop.localhost:8080)" in seen
        if isinstance(reply, str):
            os.write(ours, reply.encode())
        else:
            interrupt(process)
        assert process.wait(timeout=30) == code
    finally:
        os.close(ours)
    assert scripted.times_asked("DELETE", BY_ID) == deleted


def test_a_reader_that_leaves_is_no_error(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", SERVICES, Answer(200, [service()] * 1000))
    with maxcloud.start("list") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.wait(timeout=30)


def test_a_result_that_cannot_be_written_is_a_failure(
    scripted: ScriptedAPI, maxcloud: Maxcloud
) -> None:
    scripted.script("GET", SERVICES, Answer(200, [service()]))
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [MAXCLOUD, "list"],
            env=maxcloud.env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 1
    assert run.stderr == "Error: cannot write the result: No space left on device\n"


def test_help_and_completion_need_no_api(maxcloud: Maxcloud) -> None:
    bare = maxcloud()
    assert bare.code == 0
    assert bare.out == maxcloud("--help").out
    assert "maxcloud deploy nginx:1.29 --name shop" in maxcloud("deploy", "--help").out
    completed = maxcloud(
        _MAXCLOUD_COMPLETE="complete_bash", COMP_WORDS="maxcloud de", COMP_CWORD="1"
    )
    assert completed.out.split() == ["deploy", "describe", "delete", "dev"]


def test_help_imports_nothing_heavy(maxcloud: Maxcloud) -> None:
    run = maxcloud("--help", PYTHONPROFILEIMPORTTIME="1", PYTHONWARNINGS="")
    imported = {line.rpartition("|")[2].strip() for line in run.err.splitlines()}
    assert "typer" in imported
    assert imported & {"httpx", "pydantic", "yaml", "rich", "maxcloud.models"} == set()
    assert not {name for name in imported if name.startswith("maxcloud_cli.commands")}

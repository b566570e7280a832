"""`maxcloud deploy` as a process, against a scripted API."""

import json
import shlex
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Maxcloud, without_times
from tests.cli.scripted import (
    BY_ID,
    BY_NAME,
    DIGEST,
    GONE,
    SERVICES,
    Answer,
    ScriptedAPI,
    pending,
    service,
)


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


def test_progress_is_ascii_where_the_terminal_is(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", BY_NAME, GONE)
    scripted.script("POST", SERVICES, Answer(201, service()))
    done = maxcloud(
        *("deploy", "nginx", "--name", "shop"), PYTHONUTF8="0", PYTHONIOENCODING="ascii"
    )
    assert done.err.isascii()
    assert "+ ready N s" in without_times(done.err)

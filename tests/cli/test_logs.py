"""`maxcloud logs` as a process, and the instances that `describe` shows."""

import json
import os
import pty
import signal
import subprocess
import threading
from typing import Any

import pytest
import yaml

from tests.cli.conftest import MAXCLOUD, Maxcloud, ended
from tests.cli.scripted import (
    END,
    FAREWELL,
    SERVICE_ID,
    Answer,
    ScriptedAPI,
    instance,
    line,
    refusal,
    service,
    stream,
)

LOGS = "/api/v1/logs/shop"
FOLLOW = f"{LOGS}?follow=true"


def test_each_line_names_its_instance(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    lines = [line("one"), line("two", "fghij"), line("three \x1b[31mred\x1b[0m\r")]
    scripted.script("GET", LOGS, stream(instance(), instance("fghij"), *lines, END))
    done = maxcloud("logs", "shop")
    # Into a pipe it goes as it was written: there is no terminal to be driven.
    out = "abcde | one\nfghij | two\nabcde | three \x1b[31mred\x1b[0m\r\n"
    assert (done.code, done.out, done.err) == (0, out.replace("\r\n", "\n"), "")
    assert maxcloud("logs", "shop", "--quiet").out.splitlines()[:2] == ["one", "two"]


def test_scripts_get_an_entry_a_line(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script("GET", LOGS, stream(instance(), line("one"), line("two\x1b[2J"), END))
    as_json = [json.loads(each) for each in maxcloud("logs", "shop", "-o", "json").out.splitlines()]
    assert [entry["message"] for entry in as_json] == ["one", "two\x1b[2J"]
    assert set(as_json[0]) == {"timestamp", "message", "stream", "revision", "instance"}
    assert yaml.safe_load(maxcloud("logs", "shop", "-o", "yaml").out) == as_json


def test_what_is_asked_for_is_sent(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    query = "tail=5&since=10m&revision=shop-00002"
    scripted.script("GET", f"{LOGS}?{query}", stream(instance(), line("x"), END))
    words = ("--tail", "5", "--since", "10m", "--revision", "shop-00002")
    assert maxcloud("logs", "shop", *words).out == "abcde | x\n"
    [asked] = scripted.asked
    assert asked.headers["Accept"] == "text/event-stream"


@pytest.mark.parametrize(
    ("events", "words", "said"),
    [
        ([], [], "no instance of shop runs; the next request starts one\n"),
        ([instance()], [], "nothing was written by its instances (1)\n"),
        ([instance()], ["--quiet"], ""),
        ([], ["--quiet"], ""),
    ],
)
def test_nothing_to_see_is_said(
    scripted: ScriptedAPI, maxcloud: Maxcloud, events: list[Any], words: list[str], said: str
) -> None:
    scripted.script("GET", LOGS, stream(*events, END))
    done = maxcloud("logs", "shop", *words)
    assert (done.code, done.out, done.err) == (0, "", said)


def test_following_goes_on_over_lost_connections(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    scripted.script(
        "GET",
        FOLLOW,
        stream(instance(), line("one"), line("two")),  # cut
        Answer(reset=True),
        Answer(503, "no healthy upstream"),
        refusal(503, "unavailable", "the cluster does not show its instances now"),
        stream(instance(), line("three"), FAREWELL),
        stream(("end", {})),
    )
    done = maxcloud("logs", "shop", "-f")
    assert (done.code, done.out) == (0, "abcde | one\nabcde | two\nabcde | three\n")
    sent = [asked.headers.get("Last-Event-ID") for asked in scripted.asked]
    assert sent == [None, "3", "3", "3", "3", "3"]
    assert done.err.splitlines() == [
        "the stream of logs was cut; trying again",
        "shop was deleted",
    ]


@pytest.mark.parametrize(
    ("answer", "sentence", "code"),
    [
        (refusal(404, "not_found", "no such service"), "no such service", 1),
        (refusal(401, "unauthenticated", "authentication required"), "authentication required", 1),
        (refusal(400, "invalid_field", "since must be …", field="since"), "since must be …", 2),
        (Answer(200, "<html>"), "is not an answer that this version", 1),
        (stream(("log", {"message": "?"})), "is not an answer that this version", 1),
    ],
)
def test_a_refusal_ends_it(
    scripted: ScriptedAPI, maxcloud: Maxcloud, answer: Answer, sentence: str, code: int
) -> None:
    scripted.script("GET", FOLLOW, answer)
    done = maxcloud("logs", "shop", "-f")
    assert (done.code, done.out) == (code, "")
    assert sentence in done.err.splitlines()[0]
    assert "Hint:" in done.err
    assert len(scripted.asked) == 1


def test_an_api_that_is_not_there_is_said_at_once(maxcloud: Maxcloud) -> None:
    done = maxcloud("logs", "shop", "-f", MAXCLOUD_API_URL="http://127.0.0.1:1")
    assert done.code == 1
    assert "cannot connect to API server at http://127.0.0.1:1" in done.err


def test_interrupted_it_ends_quietly(scripted: ScriptedAPI, maxcloud: Maxcloud) -> None:
    never = threading.Event()
    scripted.script("GET", FOLLOW, stream(line("one")), stream(after=never))
    with maxcloud.start("logs", "shop", "-f") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "abcde | one\n"
        process.send_signal(signal.SIGINT)
        done = ended(process)
        never.set()
    assert (done.code, done.out) == (130, "")
    assert done.err.strip() in {"", "the stream of logs was cut; trying again"}


def on_a_terminal(maxcloud: Maxcloud, *words: str, **env: str) -> str:
    """Run it with a terminal for its output, and return what was to be seen there."""
    ours, theirs = pty.openpty()
    try:
        command = [str(MAXCLOUD), *words]
        env = maxcloud.env | {"TERM": "xterm"} | env
        process = subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        seen = b""
        try:
            while data := os.read(ours, 1024):
                seen += data
        except OSError:  # how Linux says that nobody writes any more
            pass
        assert process.wait(timeout=30) == 0
    finally:
        os.close(ours)
    return seen.decode().replace("\r\n", "\n")


FOLLOWED = [
    instance(state="starting"),
    line("\x1b[31mred\x1b[0m and \x1b]0;title\x07\x1b[2J"),
    line("of another", "fghij", "shop-00002"),
    line("again\r"),
    instance(state="gone"),
    END,
]


def test_a_terminal_has_colours_and_is_not_driven(
    scripted: ScriptedAPI, maxcloud: Maxcloud
) -> None:
    scripted.script("GET", FOLLOW, stream(*FOLLOWED))
    seen = on_a_terminal(maxcloud, "logs", "shop", "-f")
    assert seen.splitlines() == [
        "abcde of shop-00001 starts",
        "\x1b[36mabcde |\x1b[0m red and \ufffd]0;title\ufffd\ufffd[2J",
        "\x1b[33mfghij |\x1b[0m of another",
        "\x1b[36mabcde |\x1b[0m again",
        "abcde of shop-00001 is gone",
        "shop was deleted",
    ]


@pytest.mark.parametrize("plain", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_wants_no_colours_gets_none(
    scripted: ScriptedAPI, maxcloud: Maxcloud, plain: dict[str, str]
) -> None:
    scripted.script("GET", FOLLOW, stream(*FOLLOWED))
    assert "\x1b" not in on_a_terminal(maxcloud, "logs", "shop", "-f", **plain)


def page_of(maxcloud: Maxcloud) -> str:
    [shown] = [
        each for each in maxcloud("describe", "shop").out.splitlines() if "Instances now" in each
    ]
    return shown.removeprefix("Instances now:").strip()


@pytest.fixture
def described(scripted: ScriptedAPI) -> ScriptedAPI:
    scripted.script("GET", "/api/v1/services/shop", Answer(200, service()))
    scripted.script("GET", f"/api/v1/services/{SERVICE_ID}/revisions", Answer(200, []))
    return scripted


def test_describe_counts_the_instances_of_now(described: ScriptedAPI, maxcloud: Maxcloud) -> None:
    three = [instance("aaaaa"), instance("bbbbb"), instance("ccccc", "starting")]
    described.script("GET", f"{LOGS}?tail=0", stream(*three, END))
    assert page_of(maxcloud) == "2 ready, 1 starting (shop-00001)"
    data = json.loads(maxcloud("describe", "shop", "-o", "json").out)
    assert [each["state"] for each in data["instances"]] == ["ready", "ready", "starting"]

    described.script("GET", f"{LOGS}?tail=0", stream(END))
    assert page_of(maxcloud) == "none; the next request starts one"
    assert json.loads(maxcloud("describe", "shop", "-o", "json").out)["instances"] == []


def test_describe_does_not_depend_on_the_logs(described: ScriptedAPI, maxcloud: Maxcloud) -> None:
    never = threading.Event()
    for trouble in (Answer(503, "no healthy upstream"), stream(after=never), stream(instance())):
        described.script("GET", f"{LOGS}?tail=0", trouble)
        assert page_of(maxcloud) == "unknown: the logs did not answer"
        assert json.loads(maxcloud("describe", "shop", "-o", "json").out)["instances"] is None
    never.set()

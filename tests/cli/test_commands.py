"""What all commands have in common, as a process against a scripted API."""

import json
import socket
import subprocess
from pathlib import Path

import pytest

from maxcloud import __version__
from tests.cli.conftest import MAXCLOUD, Maxcloud
from tests.cli.scripted import BY_NAME, GONE, SERVICES, Answer, ScriptedAPI, refusal, service


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

"""`maxcloud list` and `describe` as a process, against a scripted API."""

import json

from tests.cli.conftest import Maxcloud
from tests.cli.scripted import (
    BY_ID,
    BY_NAME,
    DIGEST,
    GONE,
    SERVICE_ID,
    SERVICES,
    Answer,
    ScriptedAPI,
    revision,
    service,
)


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

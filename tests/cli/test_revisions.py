"""`maxcloud revisions`, `rollback` and `traffic`, over the real functions and PostgreSQL."""

import json
from typing import Any

import httpx
import psycopg
import pytest

from tests.cli.conftest import Maxcloud, against
from tests.conftest import TestDatabase
from tests.functions.support import SERVICES, SHOP

OLD, NEW = "shop-00001", "shop-00002"


@pytest.fixture
def maxcloud(api: str) -> Maxcloud:
    return against(api)


@pytest.fixture
def shop(api: str, database: TestDatabase) -> str:
    """The API with a service whose second revision is ready; the third never was."""
    httpx.post(f"{api}{SERVICES}", json=SHOP).raise_for_status()
    with psycopg.connect(database.owner) as connection:
        connection.execute(
            "insert into revisions (org_id, service_id, generation, name, image, digest, template,"
            " ready_at) select org_id, id, n, format('shop-%s', lpad(n::text, 5, '0')), image,"
            " 'sha256:0', '{}', case when n < 3 then now() end"
            " from services, generate_series(1, 3) n"
        )
        connection.execute(
            "update services set generation = 3, observed_generation = 3, status = 'ready',"
            " reason = '', latest_revision = 'shop-00003', ready_revision = 'shop-00002'"
        )
    return api


def traffic(api: str) -> list[tuple[str, int, str | None]]:
    found: list[dict[str, Any]] = httpx.get(f"{api}{SERVICES}/shop").json()["traffic"]
    return [(each["revision"], each["percent"], each["tag"]) for each in found]


def test_revisions_are_listed(maxcloud: Maxcloud, shop: str) -> None:
    lines = [line.split() for line in maxcloud("revisions", "shop").out.splitlines()]
    assert lines[0] == ["REVISION", "TRAFFIC", "READY", "IMAGE", "DIGEST", "CREATED", "BY"]
    assert [line[:4] for line in lines[1:]] == [
        ["shop-00003", "0", "%", "no"],
        [NEW, "100", "%", "yes"],
        [OLD, "0", "%", "yes"],
    ]
    assert maxcloud("revisions", "shop", "--quiet").out == f"shop-00003\n{NEW}\n{OLD}\n"
    data = json.loads(maxcloud("revisions", "shop", "-o", "json").out)
    assert [each["traffic"] for each in data] == [0, 100, 0]


def test_a_rollback_goes_to_the_one_before_that_was_ready(maxcloud: Maxcloud, shop: str) -> None:
    done = maxcloud("rollback", "shop", "--no-wait")
    assert done.code == 0, done
    assert traffic(shop) == [(OLD, 100, None)]
    assert done.out.splitlines()[1].split() == [OLD, "100", "%"]
    nothing = maxcloud("rollback", "shop", "--no-wait")
    assert nothing.code == 1
    assert nothing.err.splitlines() == [
        "Error: shop has no older revision that was ever ready",
        "Hint: `maxcloud revisions SERVICE` shows what there is",
    ]
    maxcloud("rollback", "shop", "--to", NEW, "--no-wait")
    assert traffic(shop) == [(NEW, 100, None)]
    unknown = maxcloud("rollback", "shop", "--to", "shop-00009", "--no-wait")
    assert unknown.code == 2
    assert unknown.err.splitlines()[1] == "Error: revision shop-00009 is not one of shop"


def test_traffic_is_split_and_tagged(maxcloud: Maxcloud, shop: str) -> None:
    maxcloud("traffic", "shop", f"{OLD}=80", "latest=20%", "--tag", f"{OLD}=old", "--no-wait")
    assert traffic(shop) == [(OLD, 80, None), ("latest", 20, None), (OLD, 0, "old")]
    shown = maxcloud("traffic", "shop").out.splitlines()
    assert shown[3].split() == [OLD, "0", "%", "old", "http://shop--old.localhost:8080"]
    maxcloud("traffic", "shop", "latest=100", "--no-wait")
    assert traffic(shop) == [("latest", 100, None), (OLD, 0, "old")]
    maxcloud("traffic", "shop", "--tag", f"{NEW}=old", "--remove-tag", "other", "--no-wait")
    assert traffic(shop) == [("latest", 100, None), (NEW, 0, "old")]
    maxcloud("traffic", "shop", "--remove-tag", "old", "--no-wait")
    assert traffic(shop) == [("latest", 100, None)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("latest=90",), "the percentages must sum to 100, not 90"),
        (("latest",), "'latest' must be REVISION=PERCENT, such as latest=100"),
        (("latest=x",), "'latest=x' must be REVISION=PERCENT, such as latest=100"),
        (("latest=50", "latest=50"), "latest is given twice"),
        (("--tag", "next"), "'next' must be REVISION=TAG"),
        (("--tag", "latest=A"), "must be lower-case letters"),
        (("--tag", f"{OLD}=a", "--tag", f"{NEW}=a"), "a is given to two revisions"),
    ],
)
def test_a_wrong_use_is_told_before_anything_is_sent(
    maxcloud: Maxcloud, shop: str, words: tuple[str, ...], said: str
) -> None:
    refused = maxcloud("traffic", "shop", *words)
    assert refused.code == 2
    assert said in refused.err
    assert traffic(shop) == [("latest", 100, None)]


def test_a_deploy_can_leave_the_traffic_and_tag_the_new_revision(
    maxcloud: Maxcloud, shop: str
) -> None:
    words = ("deploy", "--name", "shop", "--env", "A=1", "--no-wait")
    done = maxcloud(*words, "--no-traffic", "--tag", "next")
    assert traffic(shop) == [(NEW, 100, None), ("latest", 0, "next")]
    assert done.err.splitlines()[-3:] == [
        "next is at http://shop--next.localhost:8080",
        f"the traffic stays as it is: {NEW} 100 %",
        "`maxcloud traffic shop latest=100` sends all to the newest",
    ]
    maxcloud("deploy", "--name", "shop", "--env", "A=2", "--no-wait")
    assert traffic(shop) == [("latest", 100, None), ("latest", 0, "next")]


def test_a_deploy_says_that_a_split_stays(maxcloud: Maxcloud, shop: str) -> None:
    maxcloud("traffic", "shop", f"{OLD}=80", "latest=20", "--no-wait")
    done = maxcloud("deploy", "--name", "shop", "--env", "A=1", "--no-wait")
    assert f"the traffic stays as it is: {OLD} 80 %, latest 20 %" in done.err
    assert traffic(shop) == [(OLD, 80, None), ("latest", 20, None)]


def test_a_new_service_gets_its_traffic(maxcloud: Maxcloud, api: str) -> None:
    words = ("deploy", "nginx", "--name", "shop", "--no-wait")
    refused = maxcloud(*words, "--no-traffic")
    assert refused.code == 2
    assert "the first revision of shop gets all its requests" in refused.err
    assert maxcloud("list", "--quiet").out == ""
    assert maxcloud(*words, "--tag", "first").code == 0
    assert traffic(api) == [("latest", 100, None), ("latest", 0, "first")]
    wrong = maxcloud(*words, "--tag", "First")
    assert wrong.code == 2
    assert "--tag" in wrong.err

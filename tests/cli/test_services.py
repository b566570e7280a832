"""`maxcloud` as a process, against the real functions over a real PostgreSQL.

What the cluster would have been seen to do is written into the rows.
"""

import json
import re
import subprocess
import uuid
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.cli.conftest import Done, Maxcloud, against, ended
from tests.conftest import TestDatabase


@pytest.fixture
def maxcloud(api: str) -> Maxcloud:
    return against(api)


class Cluster:
    """Writes what happens to `shop`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def sees(self, **columns: Any) -> None:
        assignments = [
            sql.SQL("{} = {}").format(sql.Identifier(name), value)
            for name, value in columns.items()
        ]
        with psycopg.connect(self._url) as connection:
            update = sql.SQL("update services set {} where name = 'shop'")
            assert connection.execute(update.format(sql.SQL(", ").join(assignments))).rowcount == 1

    def sees_ready(self, revision: str) -> None:
        self.sees(latest_revision=revision, ready_revision=revision)
        self.sees(status="ready", reason="", message="", observed_generation=sql.SQL("generation"))

    def lets_go(self) -> None:
        with psycopg.connect(self._url) as connection:
            connection.execute("delete from services where name = 'shop' and status = 'deleting'")


@pytest.fixture
def cluster(database: TestDatabase) -> Cluster:
    return Cluster(database.owner)


def next_line(process: "subprocess.Popen[str]") -> str:
    """The next line of progress, without its time."""
    assert process.stderr is not None
    line = process.stderr.readline().rstrip()
    assert line, "maxcloud ended early"
    return re.sub(r"^  ([✓✗]) (.+?) +\d+\.\d s", r"\1 \2", line)


def deployed(maxcloud: Maxcloud, cluster: Cluster, *words: str) -> None:
    assert maxcloud("deploy", "nginx:1.29", "--name", "shop", "--no-wait", *words).code == 0
    cluster.sees_ready("shop-00001")


def test_a_deploy_is_followed_from_the_row_to_the_url(maxcloud: Maxcloud, cluster: Cluster) -> None:
    with maxcloud.start("deploy", "nginx:1.29", "--name", "shop", "--env", "A=1") as process:
        assert next_line(process) == "Deploying shop from nginx:1.29"
        assert next_line(process) == "✓ accepted"
        cluster.sees(reason="ImageResolved", message=f"nginx:1.29 is sha256:{'ab' * 32}")
        assert next_line(process) == "✓ image resolved  sha256:abababababab"
        cluster.sees(reason="RevisionCreated", message="", latest_revision="shop-00001")
        assert next_line(process) == "✓ revision created  shop-00001"
        cluster.sees_ready("shop-00001")
        assert next_line(process) == "✓ first instance started"
        assert next_line(process) == "✓ ready"
        assert ended(process) == Done(0, "http://shop.localhost:8080\n", "")

    assert maxcloud("list").out.splitlines() == [
        "NAME  IMAGE       STATUS  URL",
        "shop  nginx:1.29  ready   http://shop.localhost:8080",
    ]
    page = maxcloud("describe", "shop").out
    assert "Environment:      A=1\n" in page
    assert "latest      100 %\n" in page


def test_a_change_keeps_what_is_not_given(maxcloud: Maxcloud, cluster: Cluster) -> None:
    deployed(maxcloud, cluster, "--env", "A=1", "--env", "B=2", "--port", "80", "--args", "a,b")
    change = ["--env", "C=3", "--remove-env", "A", "--memory", "1Gi", "--args", ""]
    done = maxcloud("deploy", "--name", "shop", "--no-wait", "-o", "json", *change)
    service = json.loads(done.out)
    assert service["env_vars"] == {"B": "2", "C": "3"}
    assert (service["port"], service["memory"], service["args"]) == (80, "1Gi", [])
    assert (service["image"], service["generation"]) == ("nginx:1.29", 2)
    assert (service["status"], service["reason"]) == ("pending", "Accepted")


def test_the_same_once_more_is_unchanged(maxcloud: Maxcloud, cluster: Cluster) -> None:
    deployed(maxcloud, cluster)
    done = maxcloud("deploy", "--name", "shop", "--port", "0")
    assert (done.code, done.out) == (0, "http://shop.localhost:8080\n")
    assert done.err.splitlines()[-1] == "unchanged: shop-00001 still serves"
    with maxcloud.start("deploy", "nginx:1.29", "--name", "shop") as process:
        assert next_line(process) == "Deploying shop from nginx:1.29"
        assert next_line(process) == "✓ accepted"
        cluster.sees_ready("shop-00001")
        done = ended(process)
    assert done.code == 0
    assert "revision created" not in done.err
    assert done.err.splitlines()[-1] == "unchanged: shop-00001 still serves"


def test_a_failed_deploy_says_why_and_what_still_serves(
    maxcloud: Maxcloud, cluster: Cluster
) -> None:
    deployed(maxcloud, cluster)
    with maxcloud.start("deploy", "nginx:none", "--name", "shop") as process:
        assert next_line(process) == "Deploying shop from nginx:none"
        assert next_line(process) == "✓ accepted"
        cluster.sees(reason="ImageNotFound", message="there is no nginx:none", status="failed")
        cluster.sees(observed_generation=sql.SQL("generation"))
        assert next_line(process) == "✗ failed  ImageNotFound"
        done = ended(process)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        "Error: shop failed (ImageNotFound): there is no nginx:none",
        "  shop-00001 still serves.",
        "Hint: check the image's name and tag; outside of your registry it must be public",
    ]
    assert "failed (serving shop-00001)" in maxcloud("list").out


def test_a_delete_is_followed_until_the_row_is_gone(maxcloud: Maxcloud, cluster: Cluster) -> None:
    deployed(maxcloud, cluster)
    with maxcloud.start("delete", "shop", "--yes") as process:
        assert next_line(process) == "Deleting shop"
        assert next_line(process) == "✓ accepted"
        refused = maxcloud("deploy", "--name", "shop", "--port", "80")
        assert refused.code == 1
        assert "being deleted" in refused.err
        cluster.lets_go()
        assert next_line(process) == "✓ gone"
        done = ended(process)
    assert (done.code, done.out) == (0, "deleted shop\n")
    gone = maxcloud("describe", "shop")
    assert gone.code == 1
    assert (
        gone.err.splitlines()[1]
        == "Hint: see what there is: `maxcloud list`, `images`, `auth api-keys` or `invite list`"
    )


def test_a_name_that_another_organisation_had_is_taken(
    maxcloud: Maxcloud, database: TestDatabase
) -> None:
    with psycopg.connect(database.owner) as connection:
        connection.execute(
            "insert into tombstones (service_id, org_id, name, generation) values (%s, %s, %s, 1)",
            [uuid.uuid4(), uuid.uuid4(), "shop"],
        )
    done = maxcloud("deploy", "nginx:1.29", "--name", "shop")
    assert (done.code, done.out) == (1, "")
    assert "Error: conflict: service name already exists\n" in done.err


def test_a_rule_that_only_the_whole_breaks_is_wrong_usage(
    maxcloud: Maxcloud, cluster: Cluster
) -> None:
    deployed(maxcloud, cluster, "--max", "2")
    done = maxcloud("deploy", "--name", "shop", "--min", "3")
    assert (done.code, done.out) == (2, "")
    assert "min_scale must not be greater than max_scale" in done.err


def test_version_shows_the_real_api(maxcloud: Maxcloud, api: str) -> None:
    assert maxcloud("version").out.splitlines()[1].endswith(f"at {api}")

"""The database comes back as an older copy: what it does not know is left alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.faults.report import Report
from tests.faults.target import Target
from tests.faults.test_sources import KSVCS


@contextmanager
def nobody_connected(target: Target) -> Iterator[psycopg.Connection]:
    """Keep everybody out of the platform's database, and be in another one of its server."""
    url = target.backend.database()
    with psycopg.connect(url, dbname="template1", autocommit=True) as connection:
        connection.execute("alter database postgres allow_connections false")
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'postgres'"
        )
        try:
            yield connection
        finally:
            connection.execute("alter database postgres allow_connections true")


def copy(target: Target) -> None:
    with nobody_connected(target) as connection:
        connection.execute("create database older template postgres")


def restore(target: Target) -> None:
    with nobody_connected(target) as connection:
        connection.execute("alter database postgres rename to newer")
        connection.execute("alter database older rename to postgres")
    with psycopg.connect(target.backend.database(), autocommit=True) as connection:
        connection.execute("drop database newer with (force)")


def uids(target: Target) -> dict[str, str]:
    return {each["metadata"]["name"]: each["metadata"]["uid"] for each in target.objects()}


def test_a_restored_older_database_deletes_no_tenant(target: Target, report: Report) -> None:
    journal, image = target.journal, target.backend.image
    for name in ("kept", "changed", "gone", "again"):
        assert journal.create(name, image, env_vars={"N": "1"}).is_done
    target.agrees()
    copy(target)
    assert journal.patch("changed", env_vars={"N": "2"}).is_done
    assert journal.delete("gone").is_done
    assert journal.delete("again").is_done
    assert journal.create("later", image).is_done
    target.agrees()
    assert journal.patch("changed", env_vars={"N": "3"}).is_done
    assert journal.create("again", image, env_vars={"N": "another"}).is_done
    target.agrees()
    before = uids(target)

    restore(target)
    target.sweep()
    # What it knows is as it says again; what it does not know is not for it to judge.
    left_alone = [
        "again is in the cluster, and its service is in no row",
        "later is in the cluster, and its service is in no row",
        "again is not in the cluster",
    ]
    seconds = target.until("agreement", lambda: target.disagreement([]) == left_alone)
    report("an older database is restored", seconds)
    after = uids(target)
    assert {name: after[name] for name in before} == before
    assert "gone" in after
    # The rows' next write reaches the cluster.
    assert journal.patch("changed", env_vars={"N": "4"}).is_done
    target.until("agreement", lambda: target.disagreement([]) == left_alone)

    # An operator who has looked lets them go.
    for name in ("later", "again"):
        target.backend.write("DELETE", f"{KSVCS}/{name}")
    del journal.told[:]
    target.sweep()
    target.agrees()

"""Migrations, on databases that start empty."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from maxcloud import system
from maxcloud.config import DEV_ORG_ID
from maxcloud.store.migrate import MIGRATIONS, MigrationError, load, migrate
from tests.conftest import Postgres, TestDatabase
from tests.store.support import execute

MIGRATE = [sys.executable, "-m", "maxcloud.store.migrate"]


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    name = f"empty_{uuid.uuid4().hex}"
    postgres.execute(f"create database {name}")
    yield postgres.url(name)
    postgres.execute(f"drop database {name} with (force)")


def files(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / f"{name}.sql").write_text(f"create table t{number} (id int);")
    return folder


def test_eight_processes_at_once_apply_each_migration_once(empty: str) -> None:
    env = {**os.environ, "DATABASE_URL": empty, "DEV_MODE": "true"}
    running = [
        subprocess.Popen(MIGRATE, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(8)
    ]
    ended = [process.communicate(timeout=60) for process in running]
    assert [
        (each.returncode, errors) for each, (_, errors) in zip(running, ended, strict=True)
    ] == [(0, b"")] * 8
    applied = [line for output, _ in ended for line in output.decode().splitlines()]
    versions = [path.stem for path in sorted(MIGRATIONS.glob("*.sql"))]
    assert sorted(applied) == [f"applied {version}" for version in versions]
    assert execute(empty, "select count(*) from schema_migrations") == [(len(versions),)]
    made = execute(empty, "select id from organizations order by id")
    assert made == [(DEV_ORG_ID,), (system.ORG_ID,)]


def test_a_second_run_applies_nothing(empty: str) -> None:
    assert asyncio.run(migrate(empty)) == load()
    assert asyncio.run(migrate(empty)) == []


def test_a_new_file_is_all_that_a_later_run_applies(empty: str, tmp_path: Path) -> None:
    asyncio.run(migrate(empty, files(tmp_path, "001_first")))
    applied = asyncio.run(migrate(empty, files(tmp_path, "001_first", "002_second")))
    assert [migration.version for migration in applied] == [2]
    assert execute(empty, "select version from schema_migrations order by 1") == [(1,), (2,)]


def test_a_migration_that_fails_leaves_nothing_behind(empty: str, tmp_path: Path) -> None:
    files(tmp_path, "001_first")
    (tmp_path / "002_second.sql").write_text("create table half (id int); select 1 / 0;")
    with pytest.raises(Exception, match="division by zero"):
        asyncio.run(migrate(empty, tmp_path))
    assert execute(empty, "select version from schema_migrations") == [(1,)]
    assert execute(empty, "select to_regclass('half') is null") == [(True,)]


def test_an_applied_migration_that_changed_is_refused(empty: str, tmp_path: Path) -> None:
    asyncio.run(migrate(empty, files(tmp_path, "001_first", "002_second")))
    (tmp_path / "001_first.sql").write_text("select 1;")
    with pytest.raises(MigrationError, match=r"^migration 001_first was changed after it was"):
        asyncio.run(migrate(empty, tmp_path))


def test_a_database_that_is_newer_than_the_files_is_refused(empty: str, tmp_path: Path) -> None:
    asyncio.run(migrate(empty, files(tmp_path, "001_first", "002_second")))
    (tmp_path / "002_second.sql").unlink()
    with pytest.raises(
        MigrationError, match=r"^the database is at version 2, this release knows 1"
    ):
        asyncio.run(migrate(empty, tmp_path))


def test_a_platform_that_goes_back_leaves_the_newer_schema_as_it_is(database: TestDatabase) -> None:
    newer = len(load()) + 1
    execute(
        database.owner,
        "insert into schema_migrations (version, name, checksum)"  # noqa: S608
        f" values ({newer}, 'newer', '') returning version",
    )
    env = {**os.environ, "DATABASE_URL": database.owner}
    done = subprocess.run(MIGRATE, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"left as it is: the database is at version {newer}")


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        (["001_first", "003_third"], "003_third.sql: expected migration number 002"),
        (["001_first", "001_again"], "001_first.sql: expected migration number 002"),
        (["002_second"], "002_second.sql: expected migration number 001"),
        (["first"], "first.sql: expected migration number 001"),
    ],
)
def test_numbers_with_a_gap_or_that_come_twice_are_refused(
    tmp_path: Path, names: list[str], wrong: str
) -> None:
    with pytest.raises(MigrationError) as refused:
        load(files(tmp_path, *names))
    assert str(refused.value) == wrong


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "DATABASE_URL is not set"),
        ("postgresql:///none?host=/nowhere", "No such file or directory"),
        ("nonsense", "DATABASE_URL"),
    ],
)
def test_a_migrator_that_cannot_start_says_so_in_a_sentence(url: str | None, said: str) -> None:
    env = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    ended = subprocess.run(
        MIGRATE,
        env=env | ({"DATABASE_URL": url} if url else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("maxcloud migrate: ")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr

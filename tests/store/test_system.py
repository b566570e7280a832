"""The platform's own organisation: whatever the code does, the API reads its rows and no more."""

import psycopg
import pytest

from maxcloud import system
from tests.conftest import TestDatabase
from tests.store.support import execute
from tests.store.test_tenancy import ROWS, TENANT_TABLES


def populate(owner_url: str) -> None:
    """Give the organisation a row in every table that may have one."""
    values = {"org": system.ORG_ID, "user": system.USER_ID}
    with psycopg.connect(owner_url) as connection:
        for table, insert in ROWS.items():
            if table not in {"tombstones", "memberships"}:
                connection.execute(insert.encode(), values)


@pytest.mark.parametrize("table", [*TENANT_TABLES, "organizations"])
def test_whatever_its_code_does_the_api_writes_no_row_of_it(
    database: TestDatabase, table: str
) -> None:
    populate(database.owner)
    column = "name" if table == "organizations" else "org_id"
    statements = [
        f"update {table} set {column} = {column} returning 1",  # noqa: S608 - ours
        f"delete from {table} returning 1",  # noqa: S608 - ours
        *([ROWS[table]] if table in ROWS else []),
    ]
    for statement in statements:
        with psycopg.connect(database.api) as api:
            api.execute("select set_config('app.org', %s, false)", [str(system.ORG_ID)])
            if table != "tombstones":
                query = f"select 1 from {table}"  # noqa: S608 - ours
                assert api.execute(query.encode()).fetchall()
            values = {"org": system.ORG_ID, "user": system.USER_ID}
            try:
                cursor = api.execute(statement.encode(), values)
                written = cursor.fetchall() if cursor.description else ["written"]
            except psycopg.errors.InsufficientPrivilege:
                written = []
            assert written == [], statement


def test_workers_know_of_no_such_organisation(database: TestDatabase) -> None:
    known = execute(database.worker, "select id from organizations")
    assert system.ORG_ID not in {id for (id,) in known}
    assert execute(database.owner, "select system_org()") == [(system.ORG_ID,)]

"""What keeps organisations apart: row level security, and rights of the roles."""

from uuid import UUID

import psycopg
import pytest

from maxcloud.config import DEV_ORG_ID
from maxcloud.errors import NotFound
from maxcloud.models import UpdateRequest
from maxcloud.store import convergence, revisions, services
from maxcloud.store.database import Database
from tests.conftest import TestDatabase
from tests.store.support import add_organisation, created, deleting, execute, loaded

TENANT_TABLES = [
    "api_keys",
    "idempotency_keys",
    "images",
    "invitations",
    "memberships",
    "revisions",
    "service_events",
    "services",
    "tombstones",
]


def test_every_table_with_an_organisation_forces_row_level_security(
    untouched: TestDatabase,
) -> None:
    found = execute(
        untouched.owner,
        "select c.relname, c.relrowsecurity, c.relforcerowsecurity from pg_class c"
        " join pg_attribute a on a.attrelid = c.oid and a.attname = 'org_id'"
        " where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace order by 1",
    )
    assert found == [(table, True, True) for table in TENANT_TABLES]


@pytest.mark.anyio
async def test_rows_of_another_organisation_are_invisible(db: Database, other: UUID) -> None:
    row = await created(db, org_id=other)
    assert await services.all_of_organisation(db, DEV_ORG_ID) == []
    assert await convergence.load(db, DEV_ORG_ID, row.id) is None
    assert await revisions.of_service(db, DEV_ORG_ID, row.id) == []
    for name in ("shop", str(row.id)):
        with pytest.raises(NotFound):
            await services.get(db, DEV_ORG_ID, name)


@pytest.mark.anyio
async def test_rows_of_another_organisation_cannot_be_written(db: Database, other: UUID) -> None:
    row = await created(db, org_id=other)
    for name in ("shop", str(row.id)):
        with pytest.raises(NotFound):
            await services.update(db, DEV_ORG_ID, name, UpdateRequest(port=80), by="test")
        with pytest.raises(NotFound):
            await services.mark_deleting(db, DEV_ORG_ID, name, by="test")
    async with db.tenant(other) as connection:
        cursor = await connection.execute("select generation, status from services")
        assert await cursor.fetchall() == [(1, "pending")]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "statement",
    [
        "select 1 from services where org_id = %(theirs)s",
        "update services set image = 'evil' where org_id = %(theirs)s returning 1",
        "update services set image = 'evil' returning 1",
        "delete from services where org_id = %(theirs)s returning 1",
        "select 1 from organizations where id = %(theirs)s",
        "select 1 from tombstones",
    ],
)
async def test_a_query_that_names_the_wrong_organisation_finds_nothing(
    db: Database, other: UUID, statement: str
) -> None:
    await created(db, org_id=other)
    async with db.tenant(DEV_ORG_ID) as connection:
        cursor = await connection.execute(statement.encode(), {"theirs": other})
        assert await cursor.fetchall() == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "statement",
    [
        "insert into services (org_id, name, image) values (%(theirs)s, 'evil', 'evil')",
        "update services set org_id = %(theirs)s",
        "insert into tombstones values (gen_random_uuid(), %(theirs)s, 'evil', 1)",
    ],
)
async def test_a_row_cannot_be_put_into_another_organisation(
    db: Database, other: UUID, statement: str
) -> None:
    await created(db)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        async with db.tenant(DEV_ORG_ID) as connection:
            await connection.execute(statement.encode(), {"theirs": other})


@pytest.mark.parametrize("table", ["organizations", "memberships"])
def test_without_an_organisation_there_is_no_row(untouched: TestDatabase, table: str) -> None:
    query = f"select count(*) from {table}"  # noqa: S608 - ours
    assert execute(untouched.owner, query) == [(1,)]
    assert execute(untouched.api, query) == [(0,)]


@pytest.mark.anyio
async def test_the_organisation_of_a_transaction_does_not_outlive_it(
    db: Database, other: UUID
) -> None:
    await created(db)
    async with db.across_tenants() as connection:  # the connection that the pool gave back
        cursor = await connection.execute("select current_setting('app.org', true)")
        assert (await cursor.fetchone()) in {(None,), ("",)}
        cursor = await connection.execute("select count(*) from services")
        assert await cursor.fetchone() == (0,)


@pytest.mark.anyio
async def test_only_workers_look_across_organisations(
    db: Database, worker: Database, other: UUID
) -> None:
    ours, theirs = await created(db), await created(db, "blog", org_id=other)
    gone = await created(db, "gone")
    await convergence.remove(worker, await deleting(db, "gone"))
    for role, expected in ((db, set()), (worker, {ours.id, theirs.id})):
        everything = await convergence.everything_across_tenants(role)
        assert {each.id for each in everything} == expected
        dead = await convergence.tombstones_across_tenants(role, [ours.id, gone.id])
        assert dead == ({gone.id} if expected else set())
        named = await convergence.named_across_tenants(role, "blog")
        assert named == (await loaded(worker, theirs) if expected else None)
    assert await convergence.claim_unconverged_across_tenants(db, 10) == []


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("api", "select 1 from dead_letters"),
        ("api", "insert into dead_letters default values"),
        ("api", "select 1 from schema_migrations"),
        ("api", "delete from users"),
        ("api", "delete from organizations"),
        ("api", "create table mine (id int)"),
        ("api", "alter table services disable row level security"),
        ("api", "set role mc_worker"),
        ("api", "set role mc_lookup"),
        ("api", "truncate services"),
        ("worker", "insert into users (email) values ('a@b.c')"),
        ("worker", "delete from organizations"),
        ("worker", "select 1 from schema_migrations"),
        ("worker", "set role mc_lookup"),
        ("worker", "create table mine (id int)"),
    ],
)
def test_a_role_may_do_what_it_needs_and_no_more(
    untouched: TestDatabase, role: str, statement: str
) -> None:
    url = {"api": untouched.api, "worker": untouched.worker}[role]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(url, statement)


def test_whether_a_name_is_free_is_all_that_is_told_of_others(database: TestDatabase) -> None:
    other = add_organisation(database.owner)
    execute(
        database.owner,
        "insert into tombstones values (gen_random_uuid(), %s, 'theirs', 1)",
        other,
    )
    asked = "select name_is_free(%s, %s)"
    assert execute(database.api, asked, "theirs", DEV_ORG_ID) == [(False,)]
    assert execute(database.api, asked, "theirs", other) == [(True,)]
    assert execute(database.api, asked, "nobodys", DEV_ORG_ID) == [(True,)]

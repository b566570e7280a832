"""What keeps organisations apart: row level security, and rights of the roles."""

from uuid import UUID, uuid4

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
    assert execute(untouched.owner, query) == [(2,)]
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
        ("api", "select 1 from rate_limits"),
        ("api", "update users set email = 'x'"),
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


ROWS = {
    "memberships": "insert into memberships (org_id, user_id, role)"
    " values (%(org)s, %(user)s, 'admin')",
    "api_keys": "insert into api_keys (org_id, user_id, prefix, digest, name, role) values"
    " (%(org)s, %(user)s, %(org)s, 'x', 'k', 'admin')",
    "services": "insert into services (id, org_id, name, image) values"
    " (%(org)s, %(org)s, %(org)s, 'i')",
    "tombstones": "insert into tombstones values (%(org)s, %(org)s, 'gone', 1)",
    "revisions": "insert into revisions"
    " (org_id, service_id, generation, name, image, digest, template)"
    " values (%(org)s, %(org)s, 1, 'r', 'i', 'd', '{}')",
    "service_events": "insert into service_events"
    " (org_id, service_id, generation, status, reason, message, by)"
    " values (%(org)s, %(org)s, 1, 'ready', '', '', '')",
    "idempotency_keys": "insert into idempotency_keys"
    " (org_id, route, key, digest, status, headers) values (%(org)s, '', '', '', 201, '{}')",
    "invitations": "insert into invitations (org_id, email, role, expires_at) values"
    " (%(org)s, 'a@b.c', 'member', now())",
    "images": "insert into images (org_id, name, tag, digest, size_bytes) values"
    " (%(org)s, 'n', 't', 'd', 1)",
}


def populate(owner_url: str) -> UUID:
    """Add an organisation with a row in every table of tenants."""
    values = {"org": add_organisation(owner_url), "user": uuid4()}
    with psycopg.connect(owner_url) as connection:
        insert = "insert into users (id, email) values (%(user)s, %(user)s || '@example.test')"
        connection.execute(insert, values)
        for insert in ROWS.values():
            connection.execute(insert.encode(), values)
    return values["org"]


def test_every_tenants_table_has_a_row_to_look_for() -> None:
    assert sorted(ROWS) == TENANT_TABLES


@pytest.mark.parametrize("table", [*TENANT_TABLES, "users", "organizations"])
@pytest.mark.parametrize("who", ["nobody", "another"])
def test_the_api_sees_and_changes_no_row_of_an_organisation_that_is_not_set(
    database: TestDatabase, table: str, who: str
) -> None:
    theirs, ours = populate(database.owner), populate(database.owner)
    foreign = {
        "users": "id not in (select user_id from memberships where org_id = %(ours)s)",
        "organizations": "id <> %(ours)s",
    }.get(table, "org_id <> %(ours)s")
    set_to = {"nobody": "", "another": str(ours)}[who]
    column = {"users": "email", "organizations": "name"}.get(table, "org_id")
    with psycopg.connect(database.owner) as owner:
        query = f"select count(*) from {table} where {foreign}"  # noqa: S608 - ours
        assert owner.execute(query.encode(), {"ours": ours}).fetchone() != (0,)
    statements = [
        f"select 1 from {table} where {foreign}",  # noqa: S608 - ours
        f"update {table} set {column} = {column} where {foreign} returning 1",  # noqa: S608
        f"delete from {table} where {foreign} returning 1",  # noqa: S608
    ]
    if table in TENANT_TABLES:
        statements.append(ROWS[table])
    for statement in statements:
        with psycopg.connect(database.api) as api:
            api.execute("select set_config('app.org', %s, false)", [set_to])
            try:
                values = {"ours": ours, "org": theirs, "user": uuid4()}
                cursor = api.execute(statement.encode(), values)
                found = cursor.fetchall() if cursor.description else ["written"]
            except psycopg.errors.InsufficientPrivilege:
                found = []
            assert found == [], statement


@pytest.mark.parametrize(
    "statement",
    [
        "select * from key_owner('x')",
        "select user_of_address('a@b.c')",
        "select count_attempt('x', 1, 1)",
    ],
)
def test_what_comes_before_the_tenant_is_for_the_api_alone(
    untouched: TestDatabase, statement: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(untouched.worker, statement)


def test_functions_of_the_owner_of_look_ups_cannot_be_led_astray(untouched: TestDatabase) -> None:
    """A fixed search_path with pg_temp last: a caller's temporary table takes no other's place."""
    found = execute(
        untouched.owner,
        "select proname, array_to_string(proconfig, ' '), pg_get_userbyid(proowner) from pg_proc"
        " where prosecdef and pronamespace = 'public'::regnamespace order by 1",
    )
    assert [name for name, *_ in found] == [
        *("count_attempt", "key_owner", "name_is_free", "user_of_address"),
    ]
    assert {(path, owner) for _, path, owner in found} == {
        ("search_path=pg_catalog, public, pg_temp", "mc_lookup")
    }


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

"""Bring a database to this version's schema: `python -m maxcloud.store.migrate`.

Migrations are the numbered files beside this one. Each runs once, in order, in a transaction of
its own, under an advisory lock, so any number of migrators may start at the same moment. A file
that was applied and has changed since is refused: the databases out there have the old text.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from maxcloud.config import DEV_ORG_ID, DEV_USER_ID, database_url
from maxcloud.errors import MaxCloudError

MIGRATIONS = Path(__file__).parent / "migrations"

# An arbitrary number, the same for every migrator of every version.
_LOCK = 0x6D61786C

_HISTORY = """
create table if not exists schema_migrations (
    version    integer primary key,
    name       text not null,
    checksum   text not null,
    applied_at timestamptz not null default now()
)"""


class MigrationError(MaxCloudError):
    """The database and the migration files contradict each other."""


class DatabaseIsNewer(MigrationError):
    """A newer release has migrated the database; what this one knows of it is as it should be."""


@dataclass(frozen=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of the file's text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load(folder: Path = MIGRATIONS) -> list[Migration]:
    """Return the migrations of a folder in order.

    Raises MigrationError when the numbers have a gap or come twice.
    """
    migrations = []
    for position, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        number, _, name = path.stem.partition("_")
        if not number.isdecimal() or int(number) != position:
            raise MigrationError(f"{path.name}: expected migration number {position:03d}")
        migrations.append(Migration(position, name, path.read_text(encoding="utf-8")))
    return migrations


async def migrate(database_url: str, folder: Path = MIGRATIONS) -> list[Migration]:
    """Apply what is missing and return it.

    Raises MigrationError when an applied migration has changed, and DatabaseIsNewer when a newer
    release has been here.
    """
    wanted = load(folder)
    applied: list[Migration] = []
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("select pg_advisory_lock(%s)", [_LOCK])
        await connection.execute(_HISTORY)
        history = await _history(connection)
        _refuse_contradictions(wanted, history)
        for migration in wanted[len(history) :]:
            async with connection.transaction():
                await connection.execute(migration.text.encode())
                await connection.execute(
                    "insert into schema_migrations (version, name, checksum) values (%s, %s, %s)",
                    [migration.version, migration.name, migration.checksum],
                )
            applied.append(migration)
    return applied


async def set_passwords(database_url: str, passwords: Mapping[str, str]) -> None:
    """Let roles log in with these passwords; a role without one keeps what it has."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        for role, password in passwords.items():
            statement = sql.SQL("alter role {} login password {}")
            await connection.execute(statement.format(sql.Identifier(role), sql.Literal(password)))


async def seed_dev_organisation(database_url: str) -> None:
    """Make the one organisation and user of DEV_MODE, once."""
    async with (
        await psycopg.AsyncConnection.connect(database_url) as connection,
        connection.transaction(),
    ):
        await connection.execute("select set_config('app.org', %s, true)", [str(DEV_ORG_ID)])
        await connection.execute(
            "insert into organizations (id, name) values (%s, 'dev') on conflict do nothing",
            [DEV_ORG_ID],
        )
        await connection.execute(
            "insert into users (id, email) values (%s, 'dev@localhost') on conflict do nothing",
            [DEV_USER_ID],
        )
        await connection.execute(
            "insert into memberships (org_id, user_id, role, verified_at)"
            " values (%s, %s, 'admin', now())"
            " on conflict do nothing",
            [DEV_ORG_ID, DEV_USER_ID],
        )


async def _history(connection: psycopg.AsyncConnection) -> list[tuple[int, str, str]]:
    cursor = await connection.execute(
        "select version, name, checksum from schema_migrations order by version"
    )
    return await cursor.fetchall()


def _refuse_contradictions(wanted: list[Migration], history: list[tuple[int, str, str]]) -> None:
    for migration, (version, name, checksum) in zip(wanted, history, strict=False):
        if (migration.version, migration.name, migration.checksum) != (version, name, checksum):
            raise MigrationError(
                f"migration {version:03d}_{name} was changed after it was applied: "
                "restore the file and put the change into a new migration"
            )
    if len(history) > len(wanted):
        raise DatabaseIsNewer(
            f"the database is at version {len(history)}, this release knows {len(wanted)}: "
            "use the release that migrated it, or a newer one"
        )


async def _main(env: Mapping[str, str]) -> None:
    url = database_url(env)
    try:
        for migration in await migrate(url):
            sys.stdout.write(f"applied {migration.version:03d}_{migration.name}\n")
    except DatabaseIsNewer as error:
        # A release works with the schema of the one after it, so that a platform can go back.
        sys.stdout.write(f"left as it is: {error}\n")
    passwords = {"mc_api": env.get("API_PASSWORD"), "mc_worker": env.get("WORKER_PASSWORD")}
    await set_passwords(url, {role: word for role, word in passwords.items() if word})
    if env.get("DEV_MODE", "").lower() in {"true", "1"}:
        await seed_dev_organisation(url)


if __name__ == "__main__":
    try:
        asyncio.run(_main(os.environ))
    except (MaxCloudError, psycopg.OperationalError) as error:
        sys.exit(f"maxcloud migrate: {error}")

"""Organisations with people and keys to ask the functions with, made as rows."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from maxcloud import keys
from maxcloud.config import Config
from maxcloud.http import Api
from maxcloud.roles import Role
from maxcloud.store.database import Database
from tests.conftest import PUBLIC, ByPath, TestDatabase, served
from tests.store.support import execute

AUTH = "/api/v1/auth"
SECRET, OLD_SECRET = "s" * 32, "o" * 32

_addresses = itertools.count(1)


def production(**changes: object) -> Config:
    """The settings of an installation with real keys."""
    settings: dict[str, object] = {"secret_keys": (SECRET,), "domain": "maxcloud.dev"}
    return Config(**(settings | changes))  # type: ignore[arg-type]


@contextmanager
def installation(apis: dict[str, Api], database: TestDatabase, **changes: object) -> Iterator[str]:
    """The URL of the public functions with real keys."""
    db, config = Database(database.api), production(**changes)
    apps = {name: apis[name].build(config, db) for name in set(PUBLIC.values())}
    with served(ByPath(dict(apps)), after=db.close) as url:
        yield url


@contextmanager
def caller(url: str, key: str | None = None, address: str | None = None) -> Iterator[httpx.Client]:
    """A client as the gateway lets it in, from an address of its own if none is said."""
    number = next(_addresses)
    headers = {
        "x-maxcloud-client": address or f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    }
    if key:
        headers["Authorization"] = f"Bearer {key}"
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        yield client


@dataclass
class Organisation:
    """An organisation in a database."""

    database: TestDatabase
    name: str = ""
    id: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self.name = self.name or f"org {self.id}"
        insert = "insert into organizations (id, name) values (%s, %s)"
        execute(self.database.owner, insert, self.id, self.name)

    def member(self, role: Role = Role.ADMIN, *, is_verified: bool = True) -> "Member":
        """Add a person."""
        user_id, email = uuid4(), f"{uuid4().hex}@example.test"
        insert = "insert into users (id, email) values (%s, %s)"
        execute(self.database.owner, insert, user_id, email)
        insert = (
            "insert into memberships (org_id, user_id, role, verified_at) values (%s, %s, %s, %s)"
        )
        verified_at = datetime.now(UTC) if is_verified else None
        execute(self.database.owner, insert, self.id, user_id, role, verified_at)
        return Member(self, user_id, email)

    def key(self, role: Role = Role.ADMIN, **options: Any) -> str:
        """Add a person with a key of this role."""
        least = Role.ADMIN if role is Role.ADMIN else Role.MEMBER
        return self.member(least).key(role, **options)

    def service(self, name: str) -> UUID:
        """Add a service that is ready."""
        insert = "insert into services (org_id, name, image) values (%s, %s, 'nginx') returning id"
        [(made,)] = execute(self.database.owner, insert, self.id, name)
        return UUID(str(made))

    def invitation(self, email: str = "", role: Role = Role.MEMBER) -> UUID:
        """Add a pending invitation."""
        insert = (
            "insert into invitations (org_id, email, role, created_at, expires_at) values"
            " (%s, %s, %s, date_trunc('second', now()),"
            " date_trunc('second', now()) + interval '7 d') returning id"
        )
        email = email or f"{uuid4().hex}@example.test"
        [(made,)] = execute(self.database.owner, insert, self.id, email, role)
        return UUID(str(made))


@dataclass
class Member:
    """A person in an organisation."""

    organisation: Organisation
    id: UUID
    email: str

    def key(
        self, role: Role = Role.ADMIN, *, is_expired: bool = False, secret: str = SECRET
    ) -> str:
        """Add a key."""
        key = keys.make()
        past = datetime.now(UTC) - timedelta(minutes=1) if is_expired else None
        execute(
            self.organisation.database.owner,
            "insert into api_keys (org_id, user_id, prefix, digest, name, role, expires_at)"
            " values (%s, %s, %s, %s, 'test', %s, %s)",
            *(
                self.organisation.id,
                self.id,
                keys.prefix_of(key),
                keys.digest(key, secret),
                role,
                past,
            ),
        )
        return key

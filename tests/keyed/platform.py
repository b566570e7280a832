"""A platform that asks for keys, with the mailbox that its mails arrive in."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.backend import Cluster
from tests.cluster.environment import HOST_ADDRESS, MAIL_PORT
from tests.cluster.keys import asking_for_keys
from tests.journeys.platform import Done, Platform
from tests.local.backend import engine
from tests.postal import Mailbox, smtp


@dataclass(frozen=True)
class Keyed:
    """The platform, and what it has mailed."""

    platform: Platform
    mailbox: Mailbox

    def token(self, address: str, command: str) -> str:
        """Return the token in the newest mail to an address, behind a command."""
        body = self.mailbox.wait_for(address).get_body(("plain",))
        assert body is not None
        [line] = {line.strip() for line in body.get_content().splitlines() if command in line}
        return str(line.rpartition(" ")[2])


@dataclass(frozen=True)
class Person:
    """Somebody at a terminal with a home of their own."""

    keyed: Keyed
    home: Path

    def __call__(
        self, *arguments: str, code: int | None = 0, env: dict[str, str] | None = None
    ) -> Done:
        own = {"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "XDG_CONFIG_HOME": str(self.home)}
        return self.keyed.platform.maxcloud(*arguments, code=code, env=own | (env or {}))


def registered(keyed: Keyed, folder: Path, name: str) -> Person:
    """Return a person with an organisation of their own and a proven address."""
    somebody = Person(keyed, folder / name)
    address, org = f"{uuid.uuid4().hex}@example.test", f"{name} {uuid.uuid4().hex[:8]}"
    somebody("auth", "register", "--email", address, "--org", org)
    somebody("auth", "verify", keyed.token(address, "auth verify"))
    return somebody


def key_of(somebody: Person) -> str:
    """Return the key that somebody's profile holds."""
    kept = json.loads((somebody.home / "maxcloud" / "credentials").read_text(encoding="utf-8"))
    return str(kept["profiles"][0]["api_key"])


@contextmanager
def keyed_cluster() -> Iterator[Keyed]:
    """The test cluster with real keys, and a mail server that its pods reach."""
    with (
        smtp(host=HOST_ADDRESS, port=MAIL_PORT) as (mailbox, place),
        asking_for_keys(f"smtp://{place}"),
    ):
        yield Keyed(Platform(Cluster()), mailbox)


@contextmanager
def keyed_engine() -> Iterator[Keyed]:
    """The local engine as `maxcloud dev --auth` starts it, with a mail server beside it."""
    with smtp() as (mailbox, place):
        environ = {"SMTP_URL": f"smtp://{place}", "LOG_LEVEL": "debug"}
        with engine("--auth", env=os.environ | environ) as started:
            yield Keyed(Platform(started), mailbox)

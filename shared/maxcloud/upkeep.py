"""An operator's look into the database: `python -m maxcloud.upkeep WORD…`.

`report`, `replay ID…` and `drop ID…` are about rows and dead letters. `adopt PREFIX DIGEST NAME…`
gives the platform's own organisation its key, which is not told, and has functions looked at.

`maxcloud platform` runs it as a Job in the cluster, so that a kubeconfig is enough and wherever the
database is it stays closed. It prints one line of JSON.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from cloudevents.http import CloudEvent

from maxcloud import events
from maxcloud.config import Config
from maxcloud.errors import ConfigError, MaxCloudError
from maxcloud.store import convergence, dead_letters, functions, sweeps
from maxcloud.store.database import Database
from maxcloud.store.dead_letters import DeadLetter

# As many as a person looks through; how many there are is said beside it.
SHOWN = 50

# What a person decides by; what is in a letter stays in the database.
_OF_A_LETTER = ("id", "type", "subject", "destination", "code", "received_at")

# What a broker or a channel adds on its way to a dead letter's sink.
_ADDED = ("knativeerror", "knativebroker", "knativehistory", "datacontenttype", "dataschema")


async def report(db: Database) -> dict[str, Any]:
    """Return how far the rows are: all that `maxcloud platform status` shows of them."""
    letters = await dead_letters.newest(db, SHOWN)
    return {
        "last_sweep": await sweeps.last(db),
        "services": [row.id for row in await convergence.everything_across_tenants(db)],
        "waiting": [asdict(each) for each in await convergence.waiting_across_tenants(db, SHOWN)],
        "dead_letters": [{name: getattr(each, name) for name in _OF_A_LETTER} for each in letters],
        "dead_letter_count": await dead_letters.count(db),
    }


async def replay(db: Database, sink: str | None, ids: Sequence[UUID]) -> dict[str, Any]:
    """Publish dead letters again, and forget those that the broker took."""
    letters = await dead_letters.named(db, ids)
    sent = [each.id for each in letters if await events.publish(sink, event_of(each))]
    return {"done": await dead_letters.drop(db, sent)}


async def adopt(
    db: Database, sink: str | None, prefix: str, digest: bytes, names: Sequence[str]
) -> dict[str, Any]:
    """Keep the system organisation's key, and let `status` look at functions; say at which."""
    await functions.keep_key(db, prefix, digest)
    told = [
        await events.publish(
            sink, events.about(events.Type.DEPLOY_REQUESTED, "platform", functions.hint(name))
        )
        for name in names
    ]
    # What the broker did not take, the next sweep says.
    return {"done": [name for name, is_told in zip(names, told, strict=True) if is_told]}


def event_of(letter: DeadLetter) -> CloudEvent:
    """Return the event that became a dead letter."""
    kept = {k: v for k, v in letter.headers.items() if not k.startswith(_ADDED)}
    attributes = {
        **kept,
        "id": letter.event_id,
        "source": letter.source,
        "type": letter.type,
        "datacontenttype": "application/json",
    }
    if letter.subject is not None:
        attributes["subject"] = letter.subject
    return CloudEvent(attributes, json.loads(letter.body))


async def run(words: Sequence[str], config: Config) -> dict[str, Any]:
    """Do what the words say; raises ConfigError for words that say nothing."""
    db = Database(config.database_url)
    try:
        match words:
            case ["report"]:
                return await report(db)
            case ["replay", *ids] if ids:
                return await replay(db, config.sink, [UUID(each) for each in ids])
            case ["drop", *ids] if ids:
                return {"done": await dead_letters.drop(db, [UUID(each) for each in ids])}
            case ["adopt", prefix, digest, *names]:
                return await adopt(db, config.sink, prefix, bytes.fromhex(digest), names)
        raise ConfigError("say report, replay ID…, drop ID… or adopt PREFIX DIGEST NAME…")
    finally:
        await db.close()


def main() -> None:
    """Run once; what goes wrong is one sentence and exit code 1."""
    try:
        config = Config.from_env(os.environ, needs_secret=False)
        said = asyncio.run(run(sys.argv[1:], config))
    except MaxCloudError as error:
        sys.exit(str(error))
    except ValueError as error:
        sys.exit(f"not an id: {error}")
    print(json.dumps(said, default=_as_text))  # noqa: T201 - this is a program


def _as_text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


if __name__ == "__main__":
    main()

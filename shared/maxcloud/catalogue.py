"""What the registry has, brought to the rows: one tag at a time, or all of it by and by.

A notification is a hint, as every event is: the registry is asked what is there, and that is kept.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterable
from uuid import UUID

from maxcloud import distribution, oci, registry
from maxcloud.config import Config
from maxcloud.distribution import Distribution, Said
from maxcloud.errors import ImageInUse, NotFound, TemporaryError
from maxcloud.references import Reference
from maxcloud.registry import Access
from maxcloud.store import images
from maxcloud.store.database import Database
from maxcloud.store.images import ImageRow, Unkept
from maxcloud.store.revisions import RevisionRow

# A tag of ours keeps what a revision runs, whatever becomes of the others: the registry's own
# clean-up takes what no tag leads to.
KEEPING = "maxcloud."
_KEPT = re.compile(r"maxcloud\.(?P<service>.+)-[0-9]{5,}")

# Distribution says that a build was pushed just before its tag leads there.
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)

# How many repositories and tags one sweep looks at; the next one goes on.
SWEEP_REPOSITORIES, SWEEP_TAGS = 100, 1000


async def look(
    db: Database, there: Distribution, org_id: UUID, name: str, tag: str
) -> ImageRow | None:
    """Keep what the registry has under a tag; return the row when that is news."""
    async with images.locked(db, org_id, name) as rows:
        build = await there.build(registry.repository(org_id, name), tag)
        if build is None:
            await rows.remove(tag)
            return None
        return await rows.put(tag, build.digest, build.size_bytes)


async def look_at(config: Config, db: Database, said: Iterable[Said]) -> list[ImageRow]:
    """Look at what notifications are about; return what is news."""
    news = []
    async with distribution.opened(config) as there:
        for each in said:
            if each.pushed:
                repository = registry.repository(each.org_id, each.name)
                await wait_for(there, repository, each.tag, each.pushed)
            if row := await look(db, there, each.org_id, each.name, each.tag):
                news.append(row)
    return news


async def resolve(config: Config, org_id: UUID, image: str) -> oci.Image:
    """Look an organisation's image up, wherever it is; raises as `oci.resolve` does."""
    hosts, local = config.registry_private_hosts, config.local_images
    return await oci.resolve(image, hosts, local, ours(config, org_id))


def ours(config: Config, org_id: UUID) -> oci.Ours | None:
    """Return how an organisation's images are looked up in our registry, where there is one."""

    def token(repository: str) -> str | None:
        owner = registry.owner_of(repository)
        if owner is None or owner[0] != org_id:
            return None
        return distribution.token_for(config, Access(repository, registry.READING))

    if not config.registry_secrets:
        return None
    return oci.Ours(config.registry_url, config.registry_base, token)


async def wait_for(there: Distribution, repository: str, tag: str, digest: str) -> None:
    """Wait a moment until a tag leads to a build; it may never do, when another came after it."""
    for pause in _PAUSES:
        if await there.digest(repository, tag) == digest:
            return
        await asyncio.sleep(pause)


async def delete(config: Config, db: Database, org_id: UUID, name: str, tag: str) -> None:
    """Delete a tag, and with the last one the build.

    Raises NotFound, and ImageInUse while requests reach a revision that runs it.
    """
    repository = registry.repository(org_id, name)
    if registry.owner_of(repository) is None:
        raise NotFound("no such image")
    async with distribution.opened(config) as there:
        await look(db, there, org_id, name, tag)
        async with images.locked(db, org_id, name) as rows:
            row = await rows.find(tag)
            if row is None:
                raise NotFound("no such image")
            pinned = f"{config.registry_url}/{repository}@{row.digest}"
            if serving := await rows.serving(pinned):
                said = f"{serving[0]} runs this image: send its requests to another revision first"
                raise ImageInUse(said)
            await there.remove(repository, tag)
            if await rows.is_last(row):
                await there.remove(repository, row.digest)
            await rows.remove(tag)


async def try_to_keep(config: Config, db: Database, revision: RevisionRow) -> None:
    """Keep what a new revision runs; where that fails, the sweep tries again."""
    if config.registry_secrets and revision.kept_at is None:
        unkept = Unkept(revision.org_id, revision.id, revision.name, revision.runs.image)
        with contextlib.suppress(TemporaryError):
            await keep(config, db, unkept)


async def keep(config: Config, db: Database, revision: Unkept) -> None:
    """Put a tag of ours on what a revision runs, where that is in our registry."""
    reference = Reference.parse(revision.image)
    owner = registry.owner_of(reference.repository)
    if reference.host != config.registry_url or owner is None or owner[0] != revision.org_id:
        return
    async with distribution.opened(config) as there:
        # One that is gone already cannot be kept, and is not asked for again.
        await there.keep(reference.repository, reference.digest or "", f"{KEEPING}{revision.name}")
    await images.kept(db, revision.org_id, revision.id)


async def sweep(config: Config, db: Database) -> list[ImageRow]:
    """Look at a part of the registry for what no notification said; return what is news."""
    news: list[ImageRow] = []
    for revision in await images.unkept_across_tenants(db, config.registry_url, SWEEP_TAGS):
        await keep(config, db, revision)
    async with distribution.opened(config) as there:
        position = await images.position_across_tenants(db)
        found = await there.repositories(position, SWEEP_REPOSITORIES)
        # Behind the last one it begins anew.
        seen, position = 0, found[-1] if len(found) == SWEEP_REPOSITORIES else ""
        for repository in found:
            if (owner := registry.owner_of(repository)) is not None:
                there_now = await there.tags(repository)
                seen += len(there_now)
                news += await _compare(db, there, *owner, there_now)
            if seen >= SWEEP_TAGS:
                position = repository
                break
    await images.move_across_tenants(db, position)
    return news


async def _compare(
    db: Database, there: Distribution, org_id: UUID, name: str, tags: list[str]
) -> list[ImageRow]:
    repository, known = registry.repository(org_id, name), await images.tags(db, org_id, name)
    of_ours = {tag: kept["service"] for tag in tags if (kept := _KEPT.fullmatch(tag))}
    forgotten = await images.forgotten(db, org_id, list(of_ours.values()))
    news = []
    for tag in {*tags, *known}:
        if of_ours.get(tag) in forgotten:
            await there.remove(repository, tag)
        if await there.digest(repository, tag) != known.get(tag):
            changed = await look(db, there, org_id, name, tag)
            news += [changed] if changed else []
    return news

"""The objects: kept in memory, versioned, watched.

An object is a plain dict of which nobody but the store changes anything: who wants another one
writes another one. Nothing is kept on disk, for the platform's rows make everything again.
"""

import asyncio
import copy
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from maxcloud.errors import MaxCloudError
from maxcloud_local.kinds import KINDS, Kind

Object = dict[str, Any]

# How many changes a watcher may have missed; who missed more lists again.
CHANGES_KEPT = 10_000


class StoreError(MaxCloudError):
    """A write or a read that was refused; the subclass says how Kubernetes calls it."""


class NotFound(StoreError):
    """There is no such object."""


class AlreadyExists(StoreError):
    """An object of this name is there."""


class Conflict(StoreError):
    """The object has changed since it was read, or is another one of the same name."""


class Invalid(StoreError):
    """The object breaks a rule that Kubernetes or Knative has."""


class Expired(StoreError):
    """The changes since this version are not kept any more."""


class What(StrEnum):
    """What happened to an object, in the words of a watch."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """One change; `version` is the store's after it, `before` what a MODIFIED one was."""

    what: What
    kind: Kind
    object: Object
    version: int
    before: Object | None = None


# May raise Invalid; the first object is the one to be replaced, if any.
Admission = Callable[[Kind, Object | None, Object], None]


class Store:
    """Every object of the engine, in one event loop."""

    def __init__(self, admission: Admission = lambda kind, old, new: None) -> None:
        self._admission = admission
        self._objects: dict[Kind, dict[tuple[str, str], Object]] = {kind: {} for kind in KINDS}
        # Versions go on growing over restarts: `status` compares them.
        self.version = int(datetime.now(UTC).timestamp() * 1000)
        self._changes: deque[Change] = deque(maxlen=CHANGES_KEPT)
        self._forgotten = self.version
        self._watchers: set[asyncio.Queue[Change]] = set()

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Return an object; `namespace` is empty for a kind without. Raises NotFound."""
        try:
            return self._objects[kind][namespace, name]
        except KeyError:
            raise NotFound(f'{_resource(kind)} "{name}" not found') from None

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""
        return self._objects[kind].get((namespace, name))

    def all(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[Object]:
        """Return the objects of a kind by namespace and name; None means every namespace."""
        wanted = (labels or {}).items()
        return [
            found
            for (home, _), found in sorted(self._objects[kind].items())
            if namespace in {None, home} and wanted <= found["metadata"].get("labels", {}).items()
        ]

    def create(self, kind: Kind, new: Object) -> Object:
        """Keep a new object. Raises AlreadyExists and Invalid."""
        new = copy.deepcopy(new)
        metadata = new["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        if key in self._objects[kind]:
            raise AlreadyExists(f'{_resource(kind)} "{key[1]}" already exists')
        self._admission(kind, None, new)
        metadata |= {
            "uid": str(uuid.uuid4()),
            "creationTimestamp": timestamp(datetime.now(UTC)),
            "generation": 1,
        }
        return self._keep(What.ADDED, kind, key, new)

    def replace(self, kind: Kind, new: Object) -> Object:
        """Put an object in place of the one of its name; its status stays.

        Raises NotFound, Invalid, and Conflict when it names another resourceVersion or uid than
        the live one's. What changes nothing is no change.
        """
        new = copy.deepcopy(new)
        metadata = new["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        old = self.get(kind, *key)
        _require_same(kind, old, metadata, "resourceVersion")
        _require_same(kind, old, metadata, "uid")
        if "status" in old:
            new["status"] = old["status"]
        else:
            new.pop("status", None)
        self._admission(kind, old, new)
        for kept in ("uid", "creationTimestamp", "resourceVersion", "deletionTimestamp"):
            if kept in old["metadata"]:
                metadata[kept] = old["metadata"][kept]
        changed = new.get("spec") != old.get("spec")
        metadata["generation"] = old["metadata"]["generation"] + changed
        return old if new == old else self._keep(What.MODIFIED, kind, key, new)

    def set_status(self, kind: Kind, namespace: str, name: str, status: Object) -> None:
        """Give an object a status; one that is gone, or has it already, is left alone."""
        old = self.find(kind, namespace, name)
        if old is not None and old.get("status") != status:
            new = {**old, "metadata": dict(old["metadata"]), "status": copy.deepcopy(status)}
            self._keep(What.MODIFIED, kind, (namespace, name), new)

    def delete(self, kind: Kind, namespace: str, name: str, uid: str | None = None) -> Object:
        """Let an object go and return it as it was last.

        One with finalizers is only marked, and goes with `finish`. Raises NotFound, and Conflict
        when `uid` is another's.
        """
        old = self.get(kind, namespace, name)
        _require_same(kind, old, {"uid": uid} if uid else {}, "uid")
        if not old["metadata"].get("finalizers"):
            return self.finish(kind, namespace, name)
        if "deletionTimestamp" in old["metadata"]:
            return old
        now = timestamp(datetime.now(UTC))
        new = {**old, "metadata": {**old["metadata"], "deletionTimestamp": now}}
        return self._keep(What.MODIFIED, kind, (namespace, name), new)

    def finish(self, kind: Kind, namespace: str, name: str) -> Object:
        """Remove an object whatever its finalizers; raises NotFound."""
        old = self.get(kind, namespace, name)
        new = {**old, "metadata": dict(old["metadata"])}
        del self._objects[kind][namespace, name]
        self._tell(What.DELETED, kind, new)
        return new

    async def changes(
        self, kind: Kind | None = None, since: int | None = None
    ) -> AsyncGenerator[Change, None]:
        """Yield changes as they happen; of one kind, or of all.

        From the version `since` on, or, with None, first every object that is there as ADDED.
        Raises Expired when what came after `since` is not kept any more.
        """
        queue: asyncio.Queue[Change] = asyncio.Queue()
        for change in self._backlog(kind, since):
            queue.put_nowait(change)
        self._watchers.add(queue)
        try:
            while True:
                change = await queue.get()
                if kind in {None, change.kind}:
                    yield change
        finally:
            self._watchers.discard(queue)

    def _backlog(self, kind: Kind | None, since: int | None) -> list[Change]:
        if since is None:
            return [
                Change(What.ADDED, each, found, self.version)
                for each in ([kind] if kind else KINDS)
                for found in self.all(each)
            ]
        if since < self._forgotten:
            raise Expired(f"too old resource version: {since} ({self._forgotten})")
        return [change for change in self._changes if change.version > since]

    def _keep(self, what: What, kind: Kind, key: tuple[str, str], new: Object) -> Object:
        before = self._objects[kind].get(key)
        self._objects[kind][key] = new
        self._tell(what, kind, new, before)
        return new

    def _tell(self, what: What, kind: Kind, new: Object, before: Object | None = None) -> None:
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        if len(self._changes) == CHANGES_KEPT:
            self._forgotten = self._changes[0].version
        change = Change(what, kind, new, self.version, before)
        self._changes.append(change)
        for queue in self._watchers:
            queue.put_nowait(change)


def timestamp(moment: datetime) -> str:
    """Return a moment in UTC as it stands in an object."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _require_same(kind: Kind, old: Object, metadata: Mapping[str, Any], field: str) -> None:
    named = metadata.get(field)
    if named and named != old["metadata"][field]:
        raise Conflict(
            f'Operation cannot be fulfilled on {_resource(kind)} "{old["metadata"]["name"]}": '
            "the object has been modified; please apply your changes to the latest version "
            "and try again"
        )


def _resource(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural

"""The sources: a timer, and the changes of objects, as events for a Broker.

What Knative's adapters send: knative.dev/eventing, pkg/adapter/mtping/runner.go and
pkg/adapter/apiserver (delegate.go, events/events.go).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from maxcloud_local.eventing import statuses
from maxcloud_local.eventing.broker import Full, UnknownBroker
from maxcloud_local.eventing.cloudevent import Event
from maxcloud_local.kinds import API_SERVER_SOURCE, BROKER, PING_SOURCE, Kind, kind_of
from maxcloud_local.kubernetes.selectors import Selection
from maxcloud_local.kubernetes.watches import seen
from maxcloud_local.store import Change, NotFound, Object, Store, What

PING = "dev.knative.sources.ping"

_REFERENCES = {
    What.ADDED: "dev.knative.apiserver.ref.add",
    What.MODIFIED: "dev.knative.apiserver.ref.update",
    What.DELETED: "dev.knative.apiserver.ref.delete",
}

# Knative names the address of the API as its adapter sees it; nobody asks it.
_API = "https://kubernetes.default.svc"

# A machine that was asleep counts no seconds meanwhile: so the clock is looked at again.
_NAP_SECONDS = 30.0


class Sources:
    """Every PingSource and ApiServerSource of the engine; `accept` is the Brokers'."""

    def __init__(self, store: Store, accept: Callable[[str, str, Event], None]) -> None:
        self._store, self._accept = store, accept
        self._timers: dict[tuple[str, str], tuple[Object, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Follow the store until cancelled.

        What is there already is no news: Knative's adapter says nothing of it either.
        """
        self._look()
        try:
            async for change in self._store.changes(since=self._store.version):
                if change.kind in {PING_SOURCE, API_SERVER_SOURCE, BROKER}:
                    self._look()
                for source in self._store.all(API_SERVER_SOURCE):
                    self._report(source, change)
        finally:
            for _, task in self._timers.values():
                task.cancel()

    def fire(self, namespace: str, name: str) -> None:
        """Let a PingSource send its event now; raises NotFound."""
        source = self._store.get(PING_SOURCE, namespace, name)
        spec = source["spec"]
        attributes = {
            **(spec.get("ceOverrides") or {}).get("extensions", {}),
            "type": PING,
            "source": _name_of_timer(namespace, name),
        }
        event = Event.new(attributes)
        if "data" in spec:
            typed = {"datacontenttype": spec["contentType"]} if "contentType" in spec else {}
            event = Event({**event.attributes, **typed}, spec["data"].encode())
        self._send(source, event)

    def _look(self) -> None:
        """Write every source's status, and have one timer for each PingSource as it is now."""
        now = datetime.now(UTC)
        wanted: dict[tuple[str, str], Object] = {}
        for source in self._store.all(PING_SOURCE):
            key = (source["metadata"]["namespace"], source["metadata"]["name"])
            types = [{"type": PING, "source": _name_of_timer(*key)}]
            trouble = _why_no_schedule(source)
            status = statuses.of_source(source, self._store, trouble, types, now)
            self._store.set_status(PING_SOURCE, *key, status)
            if not trouble:
                wanted[key] = source["spec"]
        for source in self._store.all(API_SERVER_SOURCE):
            types = [{"type": each, "source": _API} for each in _REFERENCES.values()]
            trouble = _why_not_watched(source)
            status = statuses.of_source(source, self._store, trouble, types, now)
            metadata = source["metadata"]
            self._store.set_status(
                API_SERVER_SOURCE, metadata["namespace"], metadata["name"], status
            )
        for key, (spec, task) in list(self._timers.items()):
            if wanted.get(key) != spec:
                task.cancel()
                del self._timers[key]
        for key in wanted.keys() - self._timers.keys():
            task = asyncio.get_running_loop().create_task(self._tick(*key, wanted[key]["schedule"]))
            self._timers[key] = (wanted[key], task)

    async def _tick(self, namespace: str, name: str, schedule: str) -> None:
        # Always from now on: what a machine slept through is not made up for.
        while due := next(CronSim(schedule, datetime.now(UTC)), None):
            while True:
                rest = (due - datetime.now(UTC)).total_seconds()
                if rest <= 0:
                    break
                await asyncio.sleep(min(rest, _NAP_SECONDS))
            with suppress(NotFound):
                self.fire(namespace, name)

    def _report(self, source: Object, change: Change) -> None:
        if _why_not_watched(source):
            return
        for resource in source["spec"].get("resources", []):
            if _kind(resource) != change.kind:
                continue
            what = seen(change, _selection(resource))
            if what is not None and _is_within(source, change.object):
                self._send(source, _reference(what, change))

    def _send(self, source: Object, event: Event) -> None:
        try:
            self._accept(*statuses.sink(source), event)
        except (UnknownBroker, Full):
            return  # Lost, as by Knative's adapters after a few tries; the sweep makes up for it.


def _name_of_timer(namespace: str, name: str) -> str:
    return f"/apis/v1/namespaces/{namespace}/pingsources/{name}"


def _why_no_schedule(source: Object) -> str | None:
    try:
        CronSim(source["spec"].get("schedule", ""), datetime.now(UTC))
    except CronSimError as error:
        return f"invalid schedule: {error}"
    return None


def _why_not_watched(source: Object) -> str | None:
    spec = source["spec"]
    if spec.get("mode", "Reference") != "Reference":
        return "the local engine knows the mode Reference only"
    if spec.get("namespaceSelector"):
        return "the local engine watches one namespace, or with an empty selector all"
    for resource in spec.get("resources", []):
        if _kind(resource) is None:
            said = f"{resource.get('apiVersion')} {resource.get('kind')}"
            return f"the local engine has no {said}"
    return None


def _kind(resource: Object) -> Kind | None:
    return kind_of(resource.get("apiVersion", ""), resource.get("kind", ""))


def _selection(resource: Object) -> Selection:
    labels = (resource.get("selector") or {}).get("matchLabels", {}).items()
    return lambda each: labels <= each["metadata"].get("labels", {}).items()


def _is_within(source: Object, changed: Object) -> bool:
    home = source["metadata"]["namespace"]
    return "namespaceSelector" in source["spec"] or changed["metadata"].get("namespace") == home


def _reference(what: What, change: Change) -> Event:
    metadata, kind = change.object["metadata"], change.kind
    name, namespace = metadata["name"], metadata.get("namespace", "")
    reference = {"kind": kind.name, "name": name, "namespace": namespace}
    attributes = {
        **reference,
        "apiversion": kind.api_version,
        "type": _REFERENCES[what],
        "source": _API,
        "subject": f"/apis/{kind.api_version}/namespaces/{namespace}/{kind.plural}/{name}",
    }
    return Event.new(attributes, {**reference, "apiVersion": kind.api_version})

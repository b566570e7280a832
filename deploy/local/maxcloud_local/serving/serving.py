"""Knative Serving: from each Service in the store to its revisions, its traffic and its status.

Level-triggered, as Knative's controllers are: whatever happens to a service, its revisions or
their instances leads to one look at all of it, which changes what is not as it should be.
"""

import asyncio
import logging
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from maxcloud_local.happenings import Happening, Tell
from maxcloud_local.instances.instances import Launcher
from maxcloud_local.kinds import CONFIG_MAP, REVISION, SERVICE, SERVICE_LABEL
from maxcloud_local.serving import conditions, traffic
from maxcloud_local.serving.conditions import Said, State
from maxcloud_local.serving.revisions import Revision
from maxcloud_local.serving.scaling import WINDOW_LEAST_SECONDS, WINDOW_SECONDS, duration
from maxcloud_local.serving.templates import revision_object
from maxcloud_local.serving.traffic import Share
from maxcloud_local.store import Object, Store

# How many revisions without traffic are kept; deploy/knative/settings.yaml: config-gc.
REVISIONS_KEPT = 5

_log = logging.getLogger(__name__)

_Key = tuple[str, str]


@dataclass
class _Service:
    """What is known of a service: its revisions, the newest last, and where its traffic goes.

    `generation` counts its templates, as a Knative Configuration's does.
    """

    uid: str
    template: Object | None = None
    generation: int = 0
    revisions: dict[str, Revision] = field(default_factory=dict)
    shares: list[Share] = field(default_factory=list)
    created: str = ""
    latest_ready: str | None = None
    told: tuple[str, str] = ("", "")


class Serving:
    """Every Knative Service of the engine; `url` returns the public URL of a host's first label."""

    def __init__(
        self, store: Store, launcher: Launcher, tell: Tell, url: Callable[[str], str]
    ) -> None:
        self._store, self._launcher, self._tell, self._url = store, launcher, tell, url
        self._services: dict[_Key, _Service] = {}
        # So that thirty services that come back at once do not trample each other.
        self._starts = asyncio.Semaphore(2 * (os.cpu_count() or 1))
        self._due: set[_Key] = set()
        self._ending: dict[asyncio.Task[None], Revision] = {}
        self._has_stopped = False

    async def run(self) -> None:
        """Follow the store until cancelled."""
        async for change in self._store.changes():
            metadata = change.object["metadata"]
            if change.kind == SERVICE:
                self._soon((metadata["namespace"], metadata["name"]))
            elif change.kind == REVISION:
                service = (metadata.get("labels") or {}).get(SERVICE_LABEL, "")
                self._soon((metadata["namespace"], service))

    async def stop(self) -> None:
        """End every instance now, whatever requests are inside."""
        self._has_stopped = True
        revisions = [each for known in self._services.values() for each in known.revisions.values()]
        revisions += self._ending.values()
        await asyncio.gather(*(revision.end(drain=False) for revision in revisions))

    def route(self, namespace: str, service: str, tag: str | None = None) -> Revision | None:
        """Return the revision that takes the next request, by the traffic's percentages.

        None when there is no such service or tag, or none of its revisions was ever ready.
        """
        known = self._services.get((namespace, service))
        if known is None:
            return None
        if tag is not None:
            shares = [share for share in known.shares if share.tag == tag]
        else:
            shares = [share for share in known.shares if share.percent]
        if not shares:
            return None
        if len(shares) > 1:
            weights = [share.percent for share in shares]
            shares = random.choices(shares, weights)  # noqa: S311 - load is shared, nothing is secret
        return known.revisions.get(shares[0].revision)

    def _soon(self, key: _Key) -> None:
        if key not in self._due:
            self._due.add(key)
            asyncio.get_running_loop().call_soon(self._look, key)

    def _look(self, key: _Key) -> None:
        self._due.discard(key)
        if self._has_stopped:
            return
        try:
            ksvc = self._store.find(SERVICE, *key)
            known = self._services.get(key)
            if known is not None and (ksvc is None or ksvc["metadata"]["uid"] != known.uid):
                self._let_go(key)
            if ksvc is not None:
                self._converge(key, ksvc)
        except Exception:
            _log.exception("service %s in %s could not be brought about", key[1], key[0])

    def _let_go(self, key: _Key) -> None:
        known = self._services.pop(key)
        for name in list(known.revisions):
            if self._store.find(REVISION, key[0], name):
                self._store.delete(REVISION, key[0], name)
            self._end(known, name)
        self._tell(Happening(key[1], "gone"))

    def _end(self, known: _Service, name: str) -> None:
        revision = known.revisions.pop(name)
        task = asyncio.get_running_loop().create_task(revision.end())
        self._ending[task] = revision
        task.add_done_callback(self._ending.pop)

    def _converge(self, key: _Key, ksvc: Object) -> None:
        known = self._services.setdefault(key, _Service(ksvc["metadata"]["uid"]))
        for name in list(known.revisions):
            if self._store.find(REVISION, key[0], name) is None:
                self._end(known, name)
        taken = self._have_revision(key, known, ksvc)
        states = {name: revision.state for name, revision in known.revisions.items()}
        newer = _choose_latest(known, states)
        if taken is None:
            state = states[known.created]
            template = conditions.of_configuration(
                known.created,
                conditions.of_revision(state)["Ready"],
                is_latest_ready=known.latest_ready == known.created,
            )
            shares, routes = traffic.assign(
                ksvc, known.latest_ready, states, latest_failed=template.status == "False"
            )
            if shares is not None:
                known.shares = shares
        else:
            template, routes = conditions.name_taken(taken)
        routed = {share.revision for share in known.shares} | traffic.named(ksvc)
        for name, revision in known.revisions.items():
            revision.need(name in routed | newer)
        self._write_revisions(key[0], known)
        self._write_service(ksvc, known, template, routes)
        self._tell_end(key[1], known, template, states.get(known.created))
        self._collect(key[0], known, routed)

    def _have_revision(self, key: _Key, known: _Service, ksvc: Object) -> str | None:
        """Make the template's revision unless it is there; return its name when it is taken."""
        template = ksvc["spec"]["template"]
        if template != known.template:
            known.template = template
            known.generation += 1
        named = (template.get("metadata") or {}).get("name")
        name: str = named or f"{key[1]}-{known.generation:05d}"
        found = self._store.find(REVISION, key[0], name)
        if found is None:
            made = self._store.create(REVISION, revision_object(name, ksvc, known.generation))
            known.revisions[name] = Revision(
                made,
                self._launcher,
                self._starts,
                first=self._first(),
                window=self._window,
                tell=self._tell,
                on_change=lambda: self._soon(key),
            )
        elif name not in known.revisions or found["spec"] != template["spec"]:
            return name
        elif name != known.created:
            # Back to an old one, which is the newest now.
            known.revisions[name] = known.revisions.pop(name)
        known.created = name
        return None

    def _window(self) -> float:
        seconds = duration(self._setting("stable-window"))
        return WINDOW_SECONDS if seconds is None else max(seconds, WINDOW_LEAST_SECONDS)

    def _first(self) -> int:
        number = self._setting("initial-scale")
        return int(number) if number.isdecimal() else 1

    def _setting(self, name: str) -> str:
        settings = self._store.find(CONFIG_MAP, "knative-serving", "config-autoscaler") or {}
        return str((settings.get("data") or {}).get(name))

    def _write_revisions(self, namespace: str, known: _Service) -> None:
        for name, revision in known.revisions.items():
            state, made = revision.state, self._store.get(REVISION, namespace, name)
            said = conditions.of_revision(state)
            status = {
                "observedGeneration": made["metadata"]["generation"],
                "actualReplicas": state.ready,
                "desiredReplicas": state.wanted,
                "conditions": conditions.written(said, made.get("status"), datetime.now(UTC)),
            }
            self._store.set_status(REVISION, namespace, name, status)

    def _write_service(self, ksvc: Object, known: _Service, template: Said, routes: Said) -> None:
        metadata = ksvc["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        inside = (metadata.get("labels") or {}).get("networking.knative.dev/visibility")

        def address(label: str) -> str:
            return f"http://{label}.{namespace}.svc.cluster.local"

        url = address if inside == "cluster-local" else self._url
        said = conditions.of_service(template, routes)
        status = {
            "observedGeneration": metadata["generation"],
            "conditions": conditions.written(said, ksvc.get("status"), datetime.now(UTC)),
            "url": url(name),
            "address": {"url": address(name)},
            "traffic": traffic.written(known.shares, lambda tag: url(f"{name}--{tag}")),
        }
        if known.created:
            status["latestCreatedRevisionName"] = known.created
        if known.latest_ready:
            status["latestReadyRevisionName"] = known.latest_ready
        self._store.set_status(SERVICE, namespace, name, status)

    def _tell_end(self, name: str, known: _Service, template: Said, state: State | None) -> None:
        now = (known.created, template.status)
        if now != known.told and template.status == "True":
            self._tell(Happening(name, "ready", known.created))
        elif now != known.told and template.status == "False":
            failure = state.failure if state else None
            self._tell(Happening(name, "failed", failure.reason if failure else template.reason))
        known.told = now

    def _collect(self, namespace: str, known: _Service, routed: set[str]) -> None:
        active = routed | {known.created, known.latest_ready or ""}
        idle = [name for name in known.revisions if name not in active]
        for name in idle[:-REVISIONS_KEPT]:
            self._store.delete(REVISION, namespace, name)


def _choose_latest(known: _Service, states: dict[str, State]) -> set[str]:
    """Set which revision is the latest that is ready; return those that may still become it."""
    newer: set[str] = set()
    for name in reversed(known.revisions):
        state = states[name]
        if name == known.latest_ready or (state.established and state.failure is None):
            known.latest_ready = name
            return newer
        newer.add(name)
    known.latest_ready = None
    return newer

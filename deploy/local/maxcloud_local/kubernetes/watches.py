"""Lists, page by page, and watches: what a client sees of many objects."""

import base64
import json
from contextlib import aclosing

from aiohttp import web

from maxcloud_local.kinds import Kind
from maxcloud_local.kubernetes import incoming
from maxcloud_local.kubernetes.forms import Form
from maxcloud_local.kubernetes.refusals import BadRequest, status_of
from maxcloud_local.kubernetes.selectors import Selection
from maxcloud_local.kubernetes.streams import Streams
from maxcloud_local.store import Change, Expired, Invalid, Object, Store, What


def page(
    store: Store, kind: Kind, namespace: str | None, selected: Selection, request: web.Request
) -> tuple[list[Object], Object]:
    """Return the objects of one page and the list's metadata.

    All pages name the version of the first, so that a watch from there misses nothing; what
    changes meanwhile is seen as it is now. Raises BadRequest.
    """
    version, after = _position(request.query.get("continue", ""), store.version)
    found = [each for each in store.all(kind, namespace) if _key(each) > after and selected(each)]
    limit = incoming.number(request, "limit") or len(found)
    metadata = {"resourceVersion": str(version)}
    if limit < len(found):
        position = json.dumps([version, *_key(found[limit - 1])])
        metadata["continue"] = base64.urlsafe_b64encode(position.encode()).decode()
    return found[:limit], metadata


def seen(change: Change, selected: Selection) -> What | None:
    """Return what a watcher with a selector hears of a change; None is nothing.

    For it, an object that stops matching is gone, and one that begins to is new.
    """
    if change.what == What.DELETED:
        return What.DELETED if selected(change.object) else None
    was = change.before is not None and selected(change.before)
    if selected(change.object):
        return What.MODIFIED if was else What.ADDED
    return What.DELETED if was else None


class Watches:
    """What clients follow."""

    def __init__(self, store: Store, streams: Streams) -> None:
        self._store, self._streams = store, streams

    async def follow(
        self, form: Form, namespace: str | None, selected: Selection, request: web.Request
    ) -> web.StreamResponse:
        """Answer with one event a line, from `resourceVersion` on or from what is there.

        Raises BadRequest, and Invalid for a streaming list: then client-go asks in the old way.
        """
        if incoming.flag(request, "sendInitialEvents"):
            raise Invalid(
                'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: '
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is "
                "enabled"
            )
        since = incoming.number(request, "resourceVersion") or None
        seconds = incoming.number(request, "timeoutSeconds") or None

        def here(found: Object) -> bool:
            home = found["metadata"].get("namespace", "")
            return namespace in {None, home} and selected(found)

        async with self._streams.answer(request, incoming.JSON, seconds) as answer:
            try:
                async with aclosing(self._store.changes(form.kind, since)) as changes:
                    async for change in changes:
                        if what := seen(change, here):
                            await answer.write(_event(what, form.one(change.object)))
            except Expired as error:
                await answer.write(_event("ERROR", status_of(error)))
        return answer


def _event(what: str, found: Object) -> bytes:
    return json.dumps({"type": what, "object": found}).encode() + b"\n"


def _key(found: Object) -> tuple[str, str]:
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]


def _position(token: str, version: int) -> tuple[int, tuple[str, str]]:
    if not token:
        return version, ("", "")
    try:
        first, namespace, name = json.loads(base64.urlsafe_b64decode(token))
        return int(first), (str(namespace), str(name))
    except (ValueError, TypeError, RecursionError):
        raise BadRequest("continue is not a token of this server") from None

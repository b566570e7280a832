"""The Brokers: they take an event and deliver it to every Trigger that wants it.

What Knative's broker with the in-memory channel does with its asynchronous setting: what is under
way when the engine ends is lost, and the platform's sweep says it again.
"""

import asyncio
import base64
import itertools
import logging
from datetime import UTC, datetime
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from maxcloud.errors import MaxCloudError
from maxcloud_local.eventing import statuses
from maxcloud_local.eventing.cloudevent import Event, NoEvent
from maxcloud_local.eventing.subscriptions import (
    Destination,
    Subscription,
    Unusable,
    is_passing,
    is_success,
    outcome,
    subscription,
)
from maxcloud_local.gateway.forward import Forwarder
from maxcloud_local.happenings import Happening, Tell
from maxcloud_local.kinds import BROKER, SERVICE, TRIGGER, Kind
from maxcloud_local.serving.serving import Serving
from maxcloud_local.store import Object, Store

EVENT_BYTES_MAX = 1024 * 1024

# A hint that is refused comes again with the sweep; memory does not.
UNDER_WAY_MAX = 10_000

# pkg/kncloudevents/attributes/knative_error.go.
_SAID_CHARACTERS_MAX = 1024

_log = logging.getLogger(__name__)


class UnknownBroker(MaxCloudError):
    """There is no such Broker."""


class Full(MaxCloudError):
    """Too many deliveries are under way."""


class Broker:
    """Every Broker of the engine; `address` is where `app` is served, http://127.0.0.1:PORT."""

    def __init__(
        self, store: Store, serving: Serving, forwarder: Forwarder, address: str, tell: Tell
    ) -> None:
        self._store, self._serving, self._forwarder = store, serving, forwarder
        self._address, self._tell = address, tell
        self._under_way: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        """Return the app: POST /{namespace}/{broker} publishes, GET /healthz answers 200."""
        app = web.Application(client_max_size=EVENT_BYTES_MAX, middlewares=[self._only_from_here])
        app.router.add_post("/{namespace}/{broker}", self._publish)
        app.router.add_get("/healthz", _healthz)
        return app

    def accept(self, namespace: str, broker: str, event: Event) -> None:
        """Begin to deliver an event. Raises UnknownBroker, and Full when it takes no more."""
        if self._store.find(BROKER, namespace, broker) is None:
            raise UnknownBroker(f"the namespace {namespace} has no Broker {broker}")
        wanted = [
            each
            for each in self._subscriptions(namespace, broker)
            if each.matches(event.attributes)
        ]
        if len(self._under_way) + len(wanted) > UNDER_WAY_MAX:
            raise Full(f"{UNDER_WAY_MAX} deliveries are under way")
        if wanted:
            names = ", ".join(each.trigger for each in wanted)
            self._tell(Happening(broker, "event", f"{event.attributes['type']} → {names}"))
        for each in wanted:
            task = asyncio.get_running_loop().create_task(self._deliver(event, each))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def run(self) -> None:
        """Write what is to say of Brokers and Triggers into their status, until cancelled."""
        async for change in self._store.changes():
            if change.kind in {BROKER, TRIGGER, SERVICE}:
                self._look()

    async def stop(self) -> None:
        """Give up what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    @web.middleware
    async def _only_from_here(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        # A web page whose name was rebound to this machine still names itself as the Host. Another
        # page cannot send an event: neither its headers nor its type pass without being asked for.
        port = urlsplit(self._address).port
        if request.headers.get("Host", "").lower() not in {
            f"127.0.0.1:{port}",
            f"localhost:{port}",
        }:
            return web.Response(status=404)
        return await handler(request)

    async def _publish(self, request: web.Request) -> web.Response:
        try:
            event = Event.from_http(request.headers, await request.read())
            self.accept(request.match_info["namespace"], request.match_info["broker"], event)
        except NoEvent as error:
            return web.Response(status=400, text=f"{error}\n")
        except UnknownBroker as error:
            return web.Response(status=404, text=f"{error}\n")
        except Full as error:
            return web.Response(status=503, text=f"{error}\n")
        return web.Response(status=202)

    def _subscriptions(self, namespace: str, broker: str) -> list[Subscription]:
        found = []
        for trigger in self._store.all(TRIGGER, namespace):
            if trigger["spec"].get("broker") == broker:
                try:
                    found.append(subscription(trigger))
                except Unusable:
                    continue  # its status says so
        return found

    async def _deliver(self, event: Event, wanted: Subscription) -> None:
        try:
            status, said = await self._insist(event, wanted.subscriber, wanted)
            if is_success(status):
                return
            kind = event.attributes["type"]
            if wanted.dead_letters is None:
                self._tell(Happening(wanted.trigger, "gives up", f"{kind} ({status})"))
                return
            self._tell(Happening(wanted.trigger, "dead letter", f"{kind} ({status})"))
            letter = event.extended(_error_extensions(wanted.subscriber, status, said))
            status, _ = await self._insist(letter, wanted.dead_letters, wanted)
            if not is_success(status):
                self._tell(Happening(wanted.trigger, "loses", f"{kind} ({status})"))
        except Exception:
            _log.exception("a delivery of the Trigger %s failed", wanted.trigger)

    async def _insist(
        self, event: Event, to: Destination, wanted: Subscription
    ) -> tuple[int, bytes]:
        """Deliver until it is done, or no further try helps or is left; return the last answer."""
        for retry in itertools.count():
            status, said = await self._try(event, to, wanted.timeout)
            if not is_passing(status) or retry == wanted.retries:
                break
            await asyncio.sleep(wanted.pause(retry))
        return status, said

    async def _try(self, event: Event, to: Destination, seconds: float | None) -> tuple[int, bytes]:
        revision = self._serving.route(to.namespace, to.service)
        if revision is None:
            return 404, f"{to.host} leads nowhere".encode()
        headers, body = event.to_http()
        headers |= {"Host": to.host, "Prefer": "reply"}
        status, said = await self._forwarder.deliver(revision, to.path, headers, body, seconds)
        return outcome(status, said), said

    def _look(self) -> None:
        now = datetime.now(UTC)
        for broker in self._store.all(BROKER):
            self._say(BROKER, broker, statuses.of_broker(broker, self._address, now))
        for trigger in self._store.all(TRIGGER):
            self._say(TRIGGER, trigger, statuses.of_trigger(trigger, self._store, now))

    def _say(self, kind: Kind, found: Object, status: Object) -> None:
        metadata = found["metadata"]
        self._store.set_status(kind, metadata["namespace"], metadata["name"], status)


def _error_extensions(subscriber: Destination, status: int, said: bytes) -> dict[str, str]:
    return {
        "knativeerrordest": subscriber.url,
        "knativeerrorcode": str(int(status)),
        "knativeerrordata": base64.b64encode(said).decode()[:_SAID_CHARACTERS_MAX],
    }


async def _healthz(_: web.Request) -> web.Response:
    return web.Response()

"""Hetzner's API as far as a set-up uses it: a server on loopback, with a project in memory.

It refuses what Hetzner refuses (a name that is taken, a reference to nothing, a thing in use) and
keeps every exchange, so that tests/hetzner/test_schema.py can hold all of them against the schema
that Hetzner publishes.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.hetzner import shapes

Object = dict[str, Any]

TOKEN = "a token of the emulated project"
KINDS = {
    "ssh_keys": "ssh_key",
    "networks": "network",
    "firewalls": "firewall",
    "placement_groups": "placement_group",
    "servers": "server",
    "load_balancers": "load_balancer",
    "volumes": "volume",
}


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error": {"code": code, "message": message}}


@dataclass(frozen=True)
class Exchange:
    method: str
    path: str
    sent: Object | None
    status: int
    answer: Object | None


@dataclass
class Emulator:
    """A project. `trouble` says what happens to the n-th change: refused, lost or failed."""

    url: str = ""
    things: dict[str, dict[int, Object]] = field(
        default_factory=lambda: {kind: {} for kind in KINDS}
    )
    actions: dict[int, Object] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)
    changes: int = 0
    trouble: tuple[int, str] | None = None
    ids: int = 100

    def next_id(self) -> int:
        self.ids += 1
        return self.ids

    def names(self, kind: str) -> set[str]:
        return {each["name"] for each in self.things[kind].values()}

    def one(self, kind: str, name: str) -> Object:
        [found] = [each for each in self.things[kind].values() if each["name"] == name]
        return found

    def add(self, kind: str, thing: Object) -> Object:
        """Put something into the project that nobody asked the API for."""
        thing = {"id": self.next_id(), "labels": {}, **thing}
        self.things[kind][thing["id"]] = thing
        return thing

    def answer(self, method: str, path: str, query: dict[str, str], sent: Object) -> Any:
        """Return status and body; raises Refusal, and ConnectionError for a lost answer."""
        if method == "GET":
            return 200, self._read(path, query)
        self.changes += 1
        happens = self.trouble[1] if self.trouble and self.trouble[0] == self.changes else ""
        if happens == "refused":
            raise Refusal(503, "unavailable", "the service is away")
        done = self._change(method, path, sent)
        if happens == "lost":
            raise ConnectionError
        if happens == "failed":
            for action in self.actions.values():
                action["status"] = "error"
                action["error"] = {"code": "action_failed", "message": "no room on the host"}
        return done

    def _read(self, path: str, query: dict[str, str]) -> Object:
        if found := re.fullmatch(r"/actions/(\d+)", path):
            action = self.actions[int(found[1])]
            if action["status"] == "running":
                action.update(status="success", progress=100, finished=shapes.NOW)
            return {"action": action}
        kind = path[1:]
        if kind == "server_types":
            things = list(shapes.SERVER_TYPES)
        elif kind == "load_balancer_types":
            things = list(shapes.LOAD_BALANCER_TYPES)
        elif kind in KINDS:
            things = list(self.things[kind].values())
        else:
            raise Refusal(404, "not_found", f"there is no {path}")
        if "name" in query:
            things = [each for each in things if each["name"] == query["name"]]
        for wanted in filter(None, query.get("label_selector", "").split(",")):
            key, _, value = wanted.partition("=")
            things = [
                each
                for each in things
                if key in each["labels"] and (not value or each["labels"][key] == value)
            ]
        return {kind: things, "meta": shapes.page(len(things))}

    def _change(self, method: str, path: str, sent: Object) -> Any:
        if method == "POST" and path[1:] in KINDS:
            kind = path[1:]
            if sent["name"] in self.names(kind):
                raise Refusal(409, "uniqueness_error", f"{KINDS[kind]} name is already used")
            return 201, self._make(kind, sent)
        if found := re.fullmatch(r"/(\w+)/(\d+)", path):
            return self._remove(found[1], int(found[2]))
        if found := re.fullmatch(r"/(\w+)/(\d+)/actions/(\w+)", path):
            return 201, self._act(self._get(found[1], int(found[2])), found[3], sent)
        raise Refusal(404, "not_found", f"there is no {path}")

    def _make(self, kind: str, sent: Object) -> Object:
        thing = {**shapes.NEW[kind](sent), "id": self.next_id()}
        answer: Object = {KINDS[kind]: thing}
        if kind == "servers":
            thing["public_net"]["ipv4"]["ip"] = f"198.51.100.{thing['id'] % 250}"
            for key in sent.get("ssh_keys", []):
                if key not in self.names("ssh_keys"):
                    raise Refusal(422, "invalid_input", f"there is no ssh key {key}")
            for network in sent.get("networks", []):
                self._attach(thing, self._get("networks", network))
            for firewall in sent.get("firewalls", []):
                self._protect(thing, self._get("firewalls", firewall["firewall"]))
            thing["placement_group"] = self._get("placement_groups", sent["placement_group"])
            answer |= {"action": self._action("create_server"), "root_password": None}
            answer["next_actions"] = [self._action("start_server")]
            thing["status"] = "running"
        if kind == "firewalls":
            answer["actions"] = []
        if kind == "placement_groups":
            answer["action"] = None
        self.things[kind][thing["id"]] = thing
        return answer

    def _remove(self, kind: str, id: int) -> Any:
        thing = self._get(kind, id)
        servers = self.things["servers"].values()
        in_use = {
            "firewalls": any(
                each["id"] == id for s in servers for each in s["public_net"]["firewalls"]
            ),
            "placement_groups": any((s["placement_group"] or {}).get("id") == id for s in servers),
            "networks": any(
                each["network"] == id
                for balancer in self.things["load_balancers"].values()
                for each in balancer["private_net"]
            ),
        }
        if in_use.get(kind):
            raise Refusal(409, "resource_in_use", f"{KINDS[kind]} {thing['name']} is in use")
        del self.things[kind][id]
        # A load balancer's too is an action, since 2026-10-05.
        if kind in {"servers", "load_balancers"}:
            return 200, {"action": self._action(f"delete_{KINDS[kind]}")}
        return 204, None

    def _act(self, thing: Object, command: str, sent: Object) -> Object:
        if command == "set_rules":
            thing["rules"] = [shapes.rule(each) for each in sent["rules"]]
            return {"actions": [self._action("set_firewall_rules")]}
        if command == "apply_to_resources":
            for each in sent["apply_to"]:
                self._protect(self._get("servers", each["server"]["id"]), thing)
            return {"actions": [self._action("apply_firewall")]}
        if command == "attach_to_network":
            self._attach(thing, self._get("networks", sent["network"]))
        elif command == "poweron":
            thing["status"] = "running"
        else:
            raise Refusal(404, "not_found", f"there is no action {command}")
        return {"action": self._action(command)}

    def _attach(self, server: Object, network: Object) -> None:
        address = f"10.0.0.{server['id'] % 250}"
        server["private_net"].append(
            {"network": network["id"], "ip": address, "alias_ips": [], "mac_address": "86:00:00:00"}
        )

    def _protect(self, server: Object, firewall: Object) -> None:
        server["public_net"]["firewalls"].append({"id": firewall["id"], "status": "applied"})

    def _get(self, kind: str, id: int) -> Object:
        if kind not in KINDS or id not in self.things[kind]:
            raise Refusal(404, "not_found", f"there is no {kind} {id}")
        return self.things[kind][id]

    def _action(self, command: str) -> Object:
        action = shapes.action(self.next_id(), command)
        self.actions[action["id"]] = action
        return dict(action)


@contextmanager
def serve(emulator: Emulator) -> Iterator[Emulator]:
    """Serve a project on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(emulator))
    emulator.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield emulator
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(emulator: Emulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            parts = urlsplit(self.path)
            path = parts.path.removeprefix("/v1")
            length = int(self.headers.get("Content-Length") or 0)
            sent = json.loads(self.rfile.read(length)) if length else None
            try:
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    raise Refusal(401, "unauthorized", "the token is not known")
                query = dict(parse_qsl(parts.query))
                status, body = emulator.answer(self.command, path, query, sent or {})
            except Refusal as refusal:
                status, body = refusal.status, refusal.body
            except ConnectionError:
                self.close_connection = True
                return
            emulator.exchanges.append(Exchange(self.command, path, sent, status, body))
            content = json.dumps(body).encode() if body is not None else b""
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Handler

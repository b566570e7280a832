"""Every exchange of a set-up's life against the schema that Hetzner publishes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maxcloud_hetzner.errors import SetupError
from maxcloud_hetzner.plan import LABEL
from tests.hetzner import shapes
from tests.hetzner.conftest import World
from tests.hetzner.schema import Schema

SPEC = os.environ.get("HETZNER_SPEC", "")


@pytest.mark.skipif(not SPEC, reason="HETZNER_SPEC names no copy of Hetzner's schema")
def test_what_is_sent_and_answered_is_what_hetzner_describes(world: World) -> None:
    emulator = world.emulator
    world.up()
    emulator.one("firewalls", "maxcloud")["rules"].clear()
    server = emulator.one("servers", "maxcloud-worker-1")
    server["private_net"].clear()
    server["public_net"]["firewalls"].clear()
    server["status"] = "off"
    world.up()
    network = emulator.one("networks", "maxcloud")["id"]
    label = {"hcloud-ccm/service-uid": "1"}
    emulator.add("load_balancers", shapes.load_balancer("kourier", network, label))
    emulator.add("volumes", shapes.volume("pvc-1", {LABEL: "maxcloud"}))
    with pytest.raises(SetupError):
        world.project("wrong").look()
    world.down(with_volumes=True)
    schema = Schema(Path(SPEC))
    for exchange in emulator.exchanges:
        schema.check(exchange)
    used = {(each.method, each.path.rpartition("/")[2]) for each in emulator.exchanges}
    assert {("POST", "set_rules"), ("POST", "poweron"), ("POST", "attach_to_network")} <= used

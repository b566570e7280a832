"""A cluster's set-up: first run, second run, a run after any failure, and removal."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from typing import Any

import pytest
import yaml

from maxcloud_hetzner.errors import BadSetting, Foreign, Refused, SetupError, Unreachable
from maxcloud_hetzner.plan import LABEL
from tests.hetzner import shapes
from tests.hetzner.conftest import World
from tests.hetzner.emulator import KINDS

SERVERS = {"maxcloud-control-plane-1", "maxcloud-worker-1", "maxcloud-worker-2"}
MADE_HERE = ("ssh_keys", "networks", "firewalls", "placement_groups", "servers")
CHANGES_OF_A_FIRST_RUN = 7  # one for each thing but the servers, and one for each server


def assert_is_whole(world: World) -> None:
    things = world.emulator.things
    for kind in MADE_HERE[:-1]:
        assert world.emulator.names(kind) == {"maxcloud"}
    assert world.emulator.names("servers") == SERVERS
    for kind in MADE_HERE:
        assert all(each["labels"][LABEL] == "maxcloud" for each in things[kind].values())
    for server in things["servers"].values():
        assert server["status"] == "running"
        assert len(server["private_net"]) == 1
        assert len(server["public_net"]["firewalls"]) == 1


def test_a_first_run_makes_all_and_a_second_changes_nothing(world: World) -> None:
    world.up()
    assert_is_whole(world)
    assert world.emulator.changes == CHANGES_OF_A_FIRST_RUN
    asked = world.asked()
    world.up()
    assert world.emulator.changes == CHANGES_OF_A_FIRST_RUN
    # It looks at the machines again and applies the same objects, which changes nothing either.
    assert not [line for line in world.asked()[len(asked) :] if "token create" in line]


def test_the_kubeconfig_leads_to_the_control_plane_and_is_private(world: World) -> None:
    world.up()
    first = world.emulator.one("servers", "maxcloud-control-plane-1")
    kubeconfig = yaml.safe_load(world.place.kubeconfig.read_text())
    address = first["public_net"]["ipv4"]["ip"]
    assert kubeconfig["clusters"][0]["cluster"]["server"] == f"https://{address}:6443"
    assert stat.S_IMODE(world.place.kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE(world.place.folder.stat().st_mode) == 0o700


def test_what_the_cloud_needs_is_applied_with_the_token(world: World) -> None:
    world.up()
    applied = json.loads((world.folder / "applied").read_text())["items"]
    secret, *charts = applied
    network = world.emulator.one("networks", "maxcloud")["id"]
    assert secret["stringData"]["network"] == str(network)
    assert [each["spec"]["chart"] for each in charts] == [
        "hcloud-cloud-controller-manager",
        "hcloud-csi",
    ]
    assert all("--server-side" in line for line in world.asked() if "apply" in line)


def test_ports_22_and_6443_are_open_to_the_operator_alone(world: World) -> None:
    world.up()
    rules = world.emulator.one("firewalls", "maxcloud")["rules"]
    assert {rule["direction"] for rule in rules} == {"in"}
    by_port = {rule["port"]: rule["source_ips"] for rule in rules}
    assert by_port.keys() == {"22", "6443", None}
    assert by_port["22"] == by_port["6443"] == ["203.0.113.7/32"]


def documents(world: World) -> dict[str, dict[str, Any]]:
    """The cloud-init documents that were sent, by server."""
    sent = [each.sent for each in world.emulator.exchanges if each.path == "/servers" and each.sent]
    for each in sent:
        assert each["user_data"].startswith("#cloud-config\n")
        assert len(each["user_data"]) < 32 * 1024
    return {each["name"]: yaml.safe_load(each["user_data"]) for each in sent}


def k3s_config(document: dict[str, Any]) -> Any:
    [file] = [f for f in document["write_files"] if f["path"] == "/etc/rancher/k3s/config.yaml"]
    return yaml.safe_load(file["content"])


def test_a_machines_document_holds_no_secret_that_lasts(world: World) -> None:
    world.up()
    config = k3s_config(documents(world)["maxcloud-control-plane-1"])
    assert "token" not in config
    assert {"traefik", "servicelb"} <= set(config["disable"])
    assert config["secrets-encryption"] is True
    config = k3s_config(documents(world)["maxcloud-worker-1"])
    first = world.emulator.one("servers", "maxcloud-control-plane-1")
    assert config["server"] == f"https://{first['private_net'][0]['ip']}:6443"
    [made] = [line for line in world.asked() if "token create" in line]
    assert "--ttl 1h" in made


@pytest.mark.parametrize("happens", ["refused", "lost", "failed"])
@pytest.mark.parametrize("change", range(1, CHANGES_OF_A_FIRST_RUN + 1))
def test_after_a_failure_at_any_change_the_next_run_goes_on(
    world: World, change: int, happens: str
) -> None:
    """Refused: nothing was done. Lost: it was done, and nobody heard. Failed: it ended badly."""
    world.emulator.trouble = (change, happens)
    # What is done at once has no action that could end badly.
    if happens == "failed" and change <= CHANGES_OF_A_FIRST_RUN - len(SERVERS):
        world.up()
    else:
        with pytest.raises(SetupError):
            world.up()
        world.up()
    assert_is_whole(world)
    assert world.emulator.changes == CHANGES_OF_A_FIRST_RUN + (happens == "refused")


@pytest.mark.parametrize("command", ["token create", "apply"])
def test_after_a_failure_of_a_program_too(world: World, command: str) -> None:
    world.fails_once(command)
    with pytest.raises(SetupError, match="it is not there yet"):
        world.up()
    world.up()
    assert_is_whole(world)


@pytest.mark.parametrize("command", ["k3s.yaml", "get nodes"])
def test_a_machine_that_is_not_there_yet_is_waited_for(world: World, command: str) -> None:
    world.fails_once(command)
    world.up()
    assert_is_whole(world)


def test_a_machine_that_never_joins_is_named(world: World) -> None:
    world.place = replace(world.place, patience=0)
    with pytest.raises(Unreachable, match="maxcloud-worker-2 did not join: look at"):
        world.up(ready={"maxcloud-control-plane-1", "maxcloud-worker-1"})
    world.up()
    assert_is_whole(world)


def test_a_machine_is_known_by_its_number(world: World) -> None:
    """So that a new one with an old one's address is not taken for an attacker."""
    world.up()
    number = world.emulator.one("servers", "maxcloud-control-plane-1")["id"]
    asked = [line for line in world.asked() if line.startswith("ssh")]
    assert all(f"HostKeyAlias=hetzner-{number}" in line for line in asked)


def test_what_was_undone_by_hand_is_mended(world: World) -> None:
    world.up()
    server = world.emulator.one("servers", "maxcloud-worker-1")
    server["private_net"].clear()
    server["public_net"]["firewalls"].clear()
    server["status"] = "off"
    firewall = world.emulator.one("firewalls", "maxcloud")
    firewall["rules"][0]["source_ips"] = ["0.0.0.0/0"]
    world.up()
    assert_is_whole(world)
    assert ["0.0.0.0/0"] not in [rule["source_ips"] for rule in firewall["rules"]]


def test_more_workers_are_added_and_fewer_are_only_spoken_of(world: World) -> None:
    world.up()
    world.up(world.settings(workers=3))
    assert "maxcloud-worker-3" in world.emulator.names("servers")
    world.said.clear()
    world.up(world.settings(workers=1, worker_type="cx33"))
    assert len(world.emulator.names("servers")) == 4
    left = [line for line in world.said if line.startswith("leave")]
    assert [line.split()[2] for line in left] == [
        "maxcloud-worker-1:",
        "maxcloud-worker-2:",
        "maxcloud-worker-3:",
    ]


def test_a_dry_run_only_looks(world: World) -> None:
    world.up(dry_run=True)
    assert world.emulator.changes == 0
    assert world.asked() == []
    assert len([line for line in world.said if line.startswith("would make")]) == 7
    assert "6.49 (cx33) + 2 x 11.99 (cx43) + 7.00 (lb11) = 37.47 euros" in world.said[-1]


def test_what_others_made_is_not_touched(world: World) -> None:
    world.emulator.add(
        "networks",
        shapes.NEW["networks"]({"name": "maxcloud", "ip_range": "10.0.0.0/8", "subnets": []}),
    )
    with pytest.raises(Foreign, match="network 'maxcloud'"):
        world.up()
    assert world.emulator.changes == 0


def test_removal_takes_what_was_made_and_leaves_the_rest(world: World) -> None:
    emulator = world.emulator
    emulator.add(
        "ssh_keys", {"name": "somebody", "public_key": "", "fingerprint": "", "created": shapes.NOW}
    )
    world.up()
    network = emulator.one("networks", "maxcloud")["id"]
    theirs = {"hcloud-ccm/service-uid": "1"}
    emulator.add("load_balancers", shapes.load_balancer("kourier", network, theirs))
    emulator.add("load_balancers", shapes.load_balancer("elsewhere", network + 1000, theirs))
    emulator.add("load_balancers", shapes.load_balancer("by-hand", network + 1000, {}))
    emulator.add("volumes", shapes.volume("pvc-1", {LABEL: "maxcloud"}))
    emulator.add("volumes", shapes.volume("pvc-2", {LABEL: "another"}))
    before = emulator.changes
    world.down(dry_run=True)
    assert emulator.changes == before
    world.down()
    assert {kind: emulator.names(kind) for kind in KINDS} == {
        "ssh_keys": {"somebody"},
        "networks": set(),
        "firewalls": set(),
        "placement_groups": set(),
        "servers": set(),
        "load_balancers": {"elsewhere", "by-hand"},
        "volumes": {"pvc-1", "pvc-2"},
    }
    assert any("pvc-1" in line and "data" in line for line in world.said)
    world.down(with_volumes=True)
    assert emulator.names("volumes") == {"pvc-2"}


@pytest.mark.parametrize("happens", ["refused", "lost"])
@pytest.mark.parametrize("change", range(1, CHANGES_OF_A_FIRST_RUN + 1))
def test_a_removal_that_failed_is_done_again(world: World, change: int, happens: str) -> None:
    world.up()
    world.emulator.trouble = (CHANGES_OF_A_FIRST_RUN + change, happens)
    with pytest.raises((Refused, Unreachable)):
        world.down()
    world.down()
    assert not any(world.emulator.names(kind) for kind in MADE_HERE)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"operators": ()}, "--operator is missing"),
        ({"operators": ("0.0.0.0/0",)}, "to the world"),
        ({"operators": ("::/0",)}, "to the world"),
        ({"operators": ("me",)}, "an address such as"),
        ({"location": "ash"}, "nbg1, fsn1, hel1"),
        ({"workers": -1}, "from 0 to 50"),
        ({"name": "Max Cloud"}, "lower-case letters"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    world: World, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadSetting, match=said):
        world.settings(**changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"worker_type": "cx99"}, "no machine 'cx99' in nbg1"),
        ({"location": "hel1"}, "no machine 'cx33' in hel1"),
        ({"worker_type": "cax21"}, "ARM"),
    ],
)
def test_machines_that_hetzner_does_not_have_there_are_refused_before_anything_is_made(
    world: World, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadSetting, match=said):
        world.up(world.settings(**changed))
    assert world.emulator.changes == 0


def test_a_wrong_token_is_said_in_words(world: World) -> None:
    with pytest.raises(Refused, match="make a token"):
        world.project("another").look()

"""What Hetzner's objects look like, with every field that its schema asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Object = dict[str, Any]

NOW = "2026-11-25T12:00:00Z"

NUREMBERG: Object = {
    "id": 2,
    "name": "nbg1",
    "description": "Nuremberg DC Park 1",
    "country": "DE",
    "city": "Nuremberg",
    "latitude": 49.45,
    "longitude": 11.08,
    "network_zone": "eu-central",
}


def _price(location: str, net: str) -> Object:
    price = {"net": net, "gross": net}
    return {
        "location": location,
        "price_hourly": price,
        "price_monthly": price,
        "included_traffic": 0,
        "price_per_tb_traffic": price,
    }


def _server_type(id: int, name: str, net: str, architecture: str = "x86") -> Object:
    return {
        "id": id,
        "name": name,
        "description": name.upper(),
        "cores": 4,
        "memory": 8,
        "disk": 80,
        "deprecated": False,
        "prices": [_price("nbg1", net), _price("fsn1", net)],
        "storage_type": "local",
        "cpu_type": "shared",
        "category": "Shared vCPU",
        "architecture": architecture,
        "deprecation": None,
        "locations": [],
    }


SERVER_TYPES = (
    _server_type(1, "cx33", "6.4900"),
    _server_type(2, "cx43", "11.9900"),
    _server_type(3, "cax21", "7.9900", "arm"),
)


LOAD_BALANCER_TYPES: tuple[Object, ...] = (
    {
        "id": 1,
        "name": "lb11",
        "description": "LB11",
        "max_connections": 20000,
        "max_services": 5,
        "max_targets": 25,
        "max_assigned_certificates": 10,
        "deprecated": None,
        "prices": [_price("nbg1", "7.0000")],
    },
)


def page(entries: int) -> Object:
    return {
        "pagination": {
            "page": 1,
            "per_page": 50,
            "previous_page": None,
            "next_page": None,
            "last_page": 1,
            "total_entries": entries,
        }
    }


def action(id: int, command: str) -> Object:
    return {
        "id": id,
        "command": command,
        "status": "running",
        "progress": 0,
        "started": NOW,
        "finished": None,
        "resources": [],
        "error": None,
    }


def rule(sent: Object) -> Object:
    empty: Object = {"description": None, "source_ips": [], "destination_ips": [], "port": None}
    return {**empty, **sent}


def _common(sent: Object) -> Object:
    return {"name": sent["name"], "labels": sent.get("labels", {}), "created": NOW}


def _key(sent: Object) -> Object:
    return {**_common(sent), "fingerprint": "b7:2f", "public_key": sent["public_key"]}


def _network(sent: Object) -> Object:
    subnets = [{"gateway": "10.0.0.1", **each} for each in sent["subnets"]]
    return {
        **_common(sent),
        "ip_range": sent["ip_range"],
        "subnets": subnets,
        "routes": [],
        "servers": [],
        "load_balancers": [],
        "protection": {"delete": False},
        "expose_routes_to_vswitch": False,
    }


def _firewall(sent: Object) -> Object:
    return {**_common(sent), "rules": [rule(each) for each in sent["rules"]], "applied_to": []}


def _placement_group(sent: Object) -> Object:
    return {**_common(sent), "type": sent["type"], "servers": []}


def _server(sent: Object) -> Object:
    [type] = [each for each in SERVER_TYPES if each["name"] == sent["server_type"]]
    return {
        **_common(sent),
        "status": "initializing",
        "public_net": {
            "ipv4": {"id": 1, "ip": "", "blocked": False, "dns_ptr": "host.example"},
            "ipv6": None,
            "floating_ips": [],
            "firewalls": [],
        },
        "private_net": [],
        "server_type": type,
        "datacenter": {
            "id": 1,
            "name": "nbg1-dc3",
            "description": "",
            "location": NUREMBERG,
            "server_types": {"supported": [1], "available": [1], "available_for_migration": [1]},
        },
        "location": NUREMBERG,
        "image": None,
        "iso": None,
        "rescue_enabled": False,
        "locked": False,
        "backup_window": None,
        "outgoing_traffic": None,
        "ingoing_traffic": None,
        "included_traffic": 0,
        "protection": {"delete": False, "rebuild": False},
        "volumes": [],
        "load_balancers": [],
        "primary_disk_size": 80,
        "placement_group": None,
    }


NEW: dict[str, Callable[[Object], Object]] = {
    "ssh_keys": _key,
    "networks": _network,
    "firewalls": _firewall,
    "placement_groups": _placement_group,
    "servers": _server,
}


def load_balancer(name: str, network: int, labels: Object) -> Object:
    """A load balancer as the cloud controller makes it."""
    nowhere = {"ip": "198.51.100.9", "dns_ptr": "lb.example"}
    return {
        "name": name,
        "labels": labels,
        "created": NOW,
        "public_net": {"enabled": True, "ipv4": nowhere, "ipv6": nowhere},
        "private_net": [{"network": network, "ip": "10.0.0.200"}],
        "location": NUREMBERG,
        "load_balancer_type": LOAD_BALANCER_TYPES[0],
        "protection": {"delete": False},
        "services": [],
        "targets": [],
        "algorithm": {"type": "round_robin"},
        "outgoing_traffic": None,
        "ingoing_traffic": None,
        "included_traffic": 0,
    }


def volume(name: str, labels: Object) -> Object:
    """A volume as the CSI driver makes it."""
    return {
        "name": name,
        "labels": labels,
        "created": NOW,
        "server": None,
        "location": NUREMBERG,
        "size": 10,
        "linux_device": "/dev/disk/by-id/scsi-0HC_Volume_1",
        "protection": {"delete": False},
        "status": "available",
        "format": "ext4",
    }

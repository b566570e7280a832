"""Hetzner's objects as a plan looks at them, and rules as Hetzner takes them. Pure."""

from collections.abc import Callable, Iterable
from typing import Any

from hcloud.firewalls import BoundFirewall, FirewallRule
from hcloud.networks import BoundNetwork
from hcloud.servers import BoundServer

from maxcloud_hetzner.plan import Part, Parts, Rule


def price(type: Any, location: str) -> float | None:
    """Return what a type costs a month at a place, without tax; nothing where it is not."""
    for price in (type and type.prices) or []:
        if price["location"] == location:
            return float(price["price_monthly"]["net"])
    return None


def parts(found: Iterable[Any], more: Callable[[Any], dict[str, Any]] | None = None) -> Parts:
    """Return what a plan looks at, by name."""
    # The library says of every field that it may be None; what exists has a name and labels.
    return {
        each.name: Part(each.name, each.labels, **(more(each) if more else {}))
        for each in found
        if each is not None
    }


def is_in(server: BoundServer, network: BoundNetwork | None) -> bool:
    """Tell whether a server is attached to the network."""
    ids = {each.network.id for each in server.private_net or []}
    return network is not None and network.id in ids


def is_behind(server: BoundServer, firewall: BoundFirewall | None) -> bool:
    """Tell whether the firewall is applied to a server."""
    applied = server.public_net.firewalls if server.public_net else None
    return firewall is not None and firewall.id in {each.firewall.id for each in applied or []}


def rule(rule: FirewallRule) -> Rule:
    """Return a rule as a plan compares it."""
    # In whatever order Hetzner keeps them.
    sources = tuple(sorted(rule.source_ips or ()))
    if rule.direction != "in":
        # None of ours goes out: it is a difference, and the firewall is set anew.
        return Rule(f"out: {rule.description}", rule.protocol, rule.port, sources)
    return Rule(rule.description or "", rule.protocol, rule.port, sources)


def as_sent(rule: Rule) -> FirewallRule:
    """Return a rule as Hetzner takes it."""
    return FirewallRule(
        direction="in",
        protocol=rule.protocol,
        port=rule.port,
        source_ips=list(rule.sources),
        description=rule.description,
    )

"""What a cluster consists of, and what is to be done to get there. Pure: data in, data out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from maxcloud_hetzner.errors import Foreign
from maxcloud_hetzner.settings import Settings

LABEL = "maxcloud.dev/cluster"
"""On everything that is made here, with the cluster's name: what has it may be removed again."""

ROLE = "maxcloud.dev/role"
CONTROL_PLANE, WORKER = "control-plane", "worker"

WORLD = ("0.0.0.0/0", "::/0")

Thing = Literal["ssh key", "network", "firewall", "placement group", "server"]
THINGS: tuple[Thing, ...] = ("ssh key", "network", "firewall", "placement group", "server")
"""In the order in which they are made; they are removed the other way round."""


@dataclass(frozen=True, order=True)
class Rule:
    """What the firewall lets in; it closes everything else."""

    description: str
    protocol: str
    port: str | None
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Something of a project, as far as a plan looks at it."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    # A firewall's rules.
    rules: frozenset[Rule] = frozenset()
    # A server's type and state, and whether the network and the firewall have it.
    type: str = ""
    runs: bool = True
    has_network: bool = True
    has_firewall: bool = True


Parts = dict[str, Part]
"""Of one kind, by name."""


@dataclass(frozen=True)
class Step:
    """One change, or a remark about what is not changed (`verb` is "leave")."""

    verb: Literal["make", "mend", "attach", "protect", "start", "leave"]
    thing: Thing
    name: str
    note: str = ""

    def __str__(self) -> str:
        """Return the step as a person reads it."""
        return f"{self.verb:<8}{self.thing} {self.name}{self.note and f': {self.note}'}"


def labels(cluster: str, role: str | None = None) -> dict[str, str]:
    """Return the labels of a part of the cluster."""
    return {LABEL: cluster, **({ROLE: role} if role else {})}


def rules(operators: tuple[str, ...]) -> frozenset[Rule]:
    """Return what comes in from outside. Requests come by the load balancer's private address."""
    return frozenset(
        {
            Rule("SSH for operators", "tcp", "22", operators),
            Rule("Kubernetes API for operators", "tcp", "6443", operators),
            Rule("ping", "icmp", None, WORLD),
        }
    )


def steps(settings: Settings, found: Mapping[Thing, Parts]) -> list[Step]:
    """Return what is to be done, in order; nothing when the cluster is as wanted.

    Raises Foreign when a name is taken by something that is not this cluster's.
    """
    wanted = {
        "ssh key": (settings.name,),
        "network": (settings.name,),
        "firewall": (settings.name,),
        "placement group": (settings.name,),
        "server": (settings.control_plane, *settings.worker_names),
    }
    for thing in THINGS:
        for name in wanted[thing]:
            part = found[thing].get(name)
            if part and part.labels.get(LABEL) != settings.name:
                raise Foreign(thing, name)
    return [step for thing in THINGS for step in _of_thing(thing, wanted[thing], settings, found)]


def _of_thing(
    thing: Thing,
    names: tuple[str, ...],
    settings: Settings,
    found: Mapping[Thing, Parts],
) -> Iterator[Step]:
    for name in names:
        part = found[thing].get(name)
        if part is None:
            yield Step("make", thing, name, _type_of(settings, name) if thing == "server" else "")
        elif thing == "firewall" and part.rules != rules(settings.operators):
            yield Step("mend", thing, name, "its rules differ")
        elif thing == "server":
            yield from _of_server(settings, part)
    if thing == "server":
        for name, part in found[thing].items():
            if part.labels.get(LABEL) == settings.name and name not in names:
                note = "more than are wanted; drain it with kubectl, then delete it at Hetzner"
                yield Step("leave", thing, name, note)


def _of_server(settings: Settings, part: Part) -> Iterator[Step]:
    if not part.has_network:
        yield Step("attach", "server", part.name, "it is not in the network")
    if not part.has_firewall:
        yield Step("protect", "server", part.name, "the firewall does not have it")
    if not part.runs:
        yield Step("start", "server", part.name, "it is off")
    if part.type != (wanted := _type_of(settings, part.name)):
        note = f"it is a {part.type}, not a {wanted}; rescale it at Hetzner"
        yield Step("leave", "server", part.name, note)


def _type_of(settings: Settings, server: str) -> str:
    is_first = server == settings.control_plane
    return settings.control_plane_type if is_first else settings.worker_type

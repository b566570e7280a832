"""Hetzner's API: what a project holds, and each change of it. The only file that talks to it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from hcloud import APIException, Client
from hcloud.actions import ActionException
from hcloud.firewalls import BoundFirewall, FirewallResource
from hcloud.images import Image
from hcloud.load_balancers import BoundLoadBalancer
from hcloud.locations import Location
from hcloud.networks import BoundNetwork, NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer
from hcloud.ssh_keys import SSHKey
from requests import RequestException

from maxcloud_hetzner import forms, plan
from maxcloud_hetzner.errors import BadSetting, Refused, SetupError, Unreachable
from maxcloud_hetzner.plan import CONTROL_PLANE, LABEL, WORKER, Part, Step, Thing
from maxcloud_hetzner.settings import IMAGE, LOAD_BALANCER, NETWORK_RANGE, NETWORK_ZONE, Settings

Found = TypeVar("Found")

Removal = tuple[str, str, Callable[[], Any]]
"""Kind, name, and what removes it."""

# The cloud controller's label on a load balancer that it made for a Service.
_OF_A_SERVICE = "hcloud-ccm/service-uid"

_SECONDS_PER_REQUEST = 30


@contextmanager
def in_words() -> Iterator[None]:
    """Turn what the library raises into an error that an operator can act on."""
    try:
        yield
    except APIException as error:
        raise Refused(str(error.code), error.message) from error
    except ActionException as error:
        said = dict(error.action.error or {}).get("message", "it did not end in time")
        raise SetupError(f"Hetzner could not {error.action.command}: {said}") from error
    except RequestException as error:
        raise Unreachable(
            "no answer from Hetzner's API: look at the network, then run this again"
        ) from error


@dataclass(frozen=True)
class Ingredients:
    """What things are made of beside settings: an SSH key's public half, a machine's document."""

    public_key: str = ""
    user_data: str = ""


class Project:
    """A project at Hetzner, seen as the place of one cluster."""

    def __init__(self, token: str, endpoint: str, cluster: str) -> None:
        self._client = Client(
            token=token,
            api_endpoint=endpoint,
            application_name="maxcloud",
            timeout=_SECONDS_PER_REQUEST,
        )
        self._cluster = cluster
        self._ours = f"{LABEL}={cluster}"

    def look(self) -> dict[Thing, dict[str, Part]]:
        """Return what is there, by kind and name."""
        client = self._client
        with in_words():
            network = client.networks.get_by_name(self._cluster)
            firewall = client.firewalls.get_by_name(self._cluster)
            group = client.placement_groups.get_by_name(self._cluster)
            key = client.ssh_keys.get_by_name(self._cluster)
            servers = client.servers.get_all()
        found: dict[Thing, dict[str, Part]] = {
            "ssh key": forms.parts([key]),
            "network": forms.parts([network]),
            "placement group": forms.parts([group]),
        }
        rules = frozenset(map(forms.rule, (firewall and firewall.rules) or []))
        found["firewall"] = forms.parts([firewall], lambda _: {"rules": rules})
        found["server"] = forms.parts(
            servers,
            lambda server: {
                "type": server.server_type.name,
                "runs": server.status not in {"off", "stopping"},
                "has_network": forms.is_in(server, network),
                "has_firewall": forms.is_behind(server, firewall),
            },
        )
        return found

    def prices(self, settings: Settings) -> dict[str, float]:
        """Return euros a month without tax, by type of machine and of load balancer, there.

        Raises BadSetting for a machine that Hetzner does not have at the wanted place.
        """
        with in_words():
            balancer = self._client.load_balancer_types.get_by_name(LOAD_BALANCER)
        found = {LOAD_BALANCER: forms.price(balancer, settings.location) or 0}
        for name in sorted({settings.control_plane_type, settings.worker_type}):
            with in_words():
                type = self._client.server_types.get_by_name(name)
            price = forms.price(type, settings.location)
            if type is None or price is None:
                said = f"Hetzner has no machine '{name}' in {settings.location}"
                raise BadSetting(f"{said}: `hcloud server-type list` shows which there are")
            if type.architecture != "x86":
                raise BadSetting(f"'{name}' is an ARM machine, and the images are for amd64")
            found[name] = price
        return found

    def address(self, server: str) -> str:
        """Return a server's public address."""
        found = self._server(server)
        if not (found.public_net and found.public_net.ipv4):
            raise SetupError(f"server {server} has no public IPv4 address")
        return found.public_net.ipv4.ip

    def id_of(self, server: str) -> int:
        """Return a server's number, which no other ever gets."""
        return int(self._server(server).id or 0)

    def private_address(self, server: str) -> str:
        """Return a server's address in the cluster's network."""
        for each in self._server(server).private_net or []:
            if each.ip:
                return str(each.ip)
        raise SetupError(f"server {server} has no private address yet: run this again")

    def network_id(self) -> int:
        """Return the id of the cluster's network."""
        return int(self._network().id or 0)

    def carry_out(self, step: Step, settings: Settings, ingredients: Ingredients) -> None:
        """Make or mend something, and wait until Hetzner has done it."""
        with in_words():
            if step.verb == "make":
                self._make(step, settings, ingredients)
            elif step.verb == "mend":
                wanted = [forms.as_sent(rule) for rule in sorted(plan.rules(settings.operators))]
                for action in self._firewall().set_rules(wanted):
                    action.wait_until_finished()
            elif step.verb == "attach":
                self._server(step.name).attach_to_network(self._network()).wait_until_finished()
            elif step.verb == "protect":
                resource = FirewallResource(
                    type=FirewallResource.TYPE_SERVER, server=self._server(step.name)
                )
                for action in self._firewall().apply_to_resources([resource]):
                    action.wait_until_finished()
            elif step.verb == "start":
                self._server(step.name).power_on().wait_until_finished()

    def _make(self, step: Step, settings: Settings, ingredients: Ingredients) -> None:
        client, name, ours = self._client, step.name, plan.labels(self._cluster)
        if step.thing == "ssh key":
            client.ssh_keys.create(name=name, public_key=ingredients.public_key, labels=ours)
        elif step.thing == "network":
            subnet = NetworkSubnet(type="cloud", network_zone=NETWORK_ZONE, ip_range=NETWORK_RANGE)
            client.networks.create(name, NETWORK_RANGE, subnets=[subnet], labels=ours)
        elif step.thing == "firewall":
            rules = [forms.as_sent(rule) for rule in sorted(plan.rules(settings.operators))]
            made = client.firewalls.create(name=name, rules=rules, labels=ours)  # type: ignore[arg-type]  # it says str
            for action in made.actions or []:
                action.wait_until_finished()
        elif step.thing == "placement group":
            made_group = client.placement_groups.create(name=name, type="spread", labels=ours)
            if made_group.action:
                made_group.action.wait_until_finished()
        else:
            self._make_server(name, settings, ingredients.user_data)

    def _make_server(self, name: str, settings: Settings, user_data: str) -> None:
        is_first = name == settings.control_plane
        type = settings.control_plane_type if is_first else settings.worker_type
        client = self._client
        made = client.servers.create(
            name=name,
            server_type=ServerType(name=type),
            image=Image(name=IMAGE),
            location=Location(name=settings.location),
            ssh_keys=[SSHKey(name=self._cluster)],
            networks=[self._network()],
            firewalls=[self._firewall()],
            placement_group=_there(
                client.placement_groups.get_by_name(self._cluster), "placement group"
            ),
            labels=plan.labels(self._cluster, CONTROL_PLANE if is_first else WORKER),
            user_data=user_data,
        )
        for action in [made.action, *made.next_actions]:
            action.wait_until_finished()

    # What is removed

    def belongings(self) -> list[Removal]:
        """Return all that is the cluster's in the order of removing: kind, name, how.

        With it go the load balancers that the cloud controller made in the cluster's network.
        """
        client, ours = self._client, self._ours
        with in_words():
            servers = client.servers.get_all(label_selector=ours)
            balancers = self._load_balancers()
            groups = client.placement_groups.get_all(label_selector=ours)
            firewalls = client.firewalls.get_all(label_selector=ours)
            networks = client.networks.get_all(label_selector=ours)
            keys = client.ssh_keys.get_all(label_selector=ours)
        return [
            *_removals("server", servers, _ended),
            *_removals("load balancer", balancers, _ended),
            *_removals("placement group", groups),
            *_removals("firewall", firewalls),
            *_removals("network", networks),
            *_removals("ssh key", keys),
        ]

    def volumes(self) -> list[Removal]:
        """Return the volumes that the cluster's claims made; they hold what tenants are."""
        with in_words():
            found = self._client.volumes.get_all(label_selector=self._ours)
        return _removals("volume", found)

    def _load_balancers(self) -> list[BoundLoadBalancer]:
        network = self._client.networks.get_by_name(self._cluster)
        if network is None or (network.labels or {}).get(LABEL) != self._cluster:
            return []
        return [
            each
            for each in self._client.load_balancers.get_all(label_selector=_OF_A_SERVICE)
            if any(at.network.id == network.id for at in each.private_net or [])
        ]

    def _server(self, name: str) -> BoundServer:
        with in_words():
            return _there(self._client.servers.get_by_name(name), f"server {name}")

    def _network(self) -> BoundNetwork:
        with in_words():
            return _there(self._client.networks.get_by_name(self._cluster), "network")

    def _firewall(self) -> BoundFirewall:
        with in_words():
            return _there(self._client.firewalls.get_by_name(self._cluster), "firewall")


def _there(found: Found | None, what: str) -> Found:
    if found is None:
        raise SetupError(f"the {what} is gone: run this again")
    return found


def _removals(
    thing: str, found: Iterable[Any], how: Callable[[Any], Any] = lambda delete: delete
) -> list[Removal]:
    return [(thing, each.name, how(each.delete)) for each in found]


def _ended(delete: Callable[[], Any]) -> Callable[[], None]:
    """Return a deletion that waits: what it used can be deleted after it alone."""

    def remove() -> None:
        done = delete()
        getattr(done, "action", done).wait_until_finished()

    return remove

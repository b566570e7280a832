"""A cluster's set-up and removal: each step looks first, so each run goes on where one ended."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from maxcloud_hetzner import addons, machines, plan, programs
from maxcloud_hetzner.errors import SetupError, Unreachable
from maxcloud_hetzner.plan import Step
from maxcloud_hetzner.programs import Kubectl, Shell
from maxcloud_hetzner.project import Ingredients, Project, in_words
from maxcloud_hetzner.settings import LOAD_BALANCER, Settings, public_key

Show = Callable[[str], None]

_KUBECONFIG = "cat /etc/rancher/k3s/k3s.yaml"
_TOKEN = "k3s token create --ttl 1h --description 'a worker joins'"  # noqa: S105 - a command


@dataclass(frozen=True)
class Place:
    """Where an operator keeps what a cluster needs on this machine."""

    folder: Path
    ssh_key: Path
    # Seconds between two questions to a machine that starts, and for how long it is asked.
    pause: float = 5
    patience: float = programs.MACHINE_SECONDS

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def known_hosts(self) -> Path:
        """The machines' host keys, from the first connection on."""
        return self.folder / "known_hosts"


def up(
    project: Project, settings: Settings, place: Place, token: str, show: Show, *, dry_run: bool
) -> None:
    """Make or mend the cluster, until all its machines are ready."""
    public = public_key(place.ssh_key)
    if not dry_run:
        programs.require("ssh", "kubectl")
    prices = project.prices(settings)
    steps = plan.steps(settings, project.look())
    if dry_run:
        for step in steps:
            show(f"would {step}")
        show("nothing to make" if not steps else f"{len(steps)} steps, and nothing done")
        show(costs(settings, prices))
        return
    place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    workers = [step for step in steps if step.verb == "make" and _is_worker(step, settings)]
    first = Ingredients(public, machines.control_plane(has_workers=settings.workers > 0))
    for step in steps:
        if step not in workers:
            _carry_out(project, settings, step, first, show)
    first_machine = settings.control_plane
    address, number = project.address(first_machine), project.id_of(first_machine)
    shell = Shell(address, number, place.ssh_key, place.known_hosts)
    kubectl = _reach(project, settings, place, shell, show)
    if workers:
        # One short-lived token for all of a run: who reads it later joins nothing.
        join = shell.run(_TOKEN).strip()
        inside = project.private_address(first_machine)
        joining = Ingredients(public, machines.worker(inside, join))
        for step in workers:
            _carry_out(project, settings, step, joining, show)
    install(project, settings.name, kubectl, token, show)
    _wait_for_nodes(settings, kubectl, place, show)
    show(costs(settings, prices))


def firewall(project: Project, settings: Settings, show: Show) -> None:
    """Let these operators in, and nobody else. Raises SetupError without a cluster."""
    found = project.look()
    if settings.name not in found["firewall"]:
        raise SetupError(f"there is no firewall {settings.name}: make the cluster first")
    steps = [step for step in plan.steps(settings, found) if step.thing == "firewall"]
    for step in steps:
        _carry_out(project, settings, step, Ingredients(), show)
    if not steps:
        show("the firewall is as it should be")


def down(project: Project, show: Show, *, with_volumes: bool, dry_run: bool) -> None:
    """Remove what has the cluster's label, and the load balancers in its network, nothing else."""
    volumes = project.volumes()
    belongings = project.belongings() + (volumes if with_volumes else [])
    for thing, name, remove in belongings:
        show(f"{'would ' if dry_run else ''}remove  {thing} {name}")
        if not dry_run:
            with in_words():
                remove()
    if not belongings:
        show("nothing of it is there")
    if not with_volumes:
        for _, name, _ in volumes:
            show(f"kept    volume {name}: it holds data, and costs; --volumes removes it")


def install(project: Project, cluster: str, kubectl: Kubectl, token: str, show: Show) -> None:
    """Give the cluster the token, the cloud controller and the volumes of this version."""
    show("apply   cloud controller and volumes")
    wanted = addons.objects(cluster, token, project.network_id())
    listed = {"apiVersion": "v1", "kind": "List", "items": wanted}
    kubectl.apply(json.dumps(listed))


def costs(settings: Settings, prices: dict[str, float]) -> str:
    """Return what machines and load balancer cost a month, with the arithmetic, without tax."""
    first, each = prices[settings.control_plane_type], prices[settings.worker_type]
    balancer = prices[LOAD_BALANCER]
    total = first + settings.workers * each + balancer
    return (
        f"{first:.2f} ({settings.control_plane_type}) + {settings.workers} x {each:.2f} "
        f"({settings.worker_type}) + {balancer:.2f} ({LOAD_BALANCER}) = {total:.2f} euros a month "
        "without tax, by Hetzner's list of today; addresses, volumes and object storage come on top"
    )


def _carry_out(
    project: Project, settings: Settings, step: Step, ingredients: Ingredients, show: Show
) -> None:
    show(str(step))
    if step.verb != "leave":
        project.carry_out(step, settings, ingredients)


def _is_worker(step: Step, settings: Settings) -> bool:
    return step.thing == "server" and step.name != settings.control_plane


def _reach(project: Project, settings: Settings, place: Place, shell: Shell, show: Show) -> Kubectl:
    """Write the kubeconfig, once Kubernetes has made it, and return kubectl with it."""
    show("wait    for Kubernetes on the control plane")
    found = yaml.safe_load(
        programs.wait_for(lambda: shell.run(_KUBECONFIG), "Kubernetes", place.pause, place.patience)
    )
    address = f"https://{project.address(settings.control_plane)}:6443"
    for each in found["clusters"]:
        each["cluster"]["server"] = address
    with os.fdopen(
        os.open(place.kubeconfig, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
    ) as file:
        yaml.safe_dump(found, file)
    return Kubectl(place.kubeconfig)


def _wait_for_nodes(settings: Settings, kubectl: Kubectl, place: Place, show: Show) -> None:
    wanted = {settings.control_plane, *settings.worker_names}
    show(f"wait    for {len(wanted)} machines to be ready")
    ready = (
        "{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=='Ready')].status} {end}"
    )
    missing = set(wanted)

    def ask() -> str:
        said = kubectl.run("get", "nodes", "-o", f"jsonpath={ready}").split()
        missing.intersection_update(wanted - {word.removesuffix("=True") for word in said})
        return "" if missing else "all"

    try:
        programs.wait_for(ask, "a machine", place.pause, place.patience)
    except Unreachable as error:
        names = ", ".join(sorted(missing))
        raise Unreachable(
            f"{names} did not join: look at /var/log/cloud-init-output.log there, "
            "or delete it at Hetzner and run this again"
        ) from error

"""What an operator decides about a cluster: its name, place, sizes and who reaches it."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from maxcloud_hetzner.errors import BadSetting

LOCATIONS = ("nbg1", "fsn1", "hel1")
"""Hetzner's places in the European Union: Nuremberg, Falkenstein, Helsinki. All are one zone."""

NETWORK_ZONE = "eu-central"
NETWORK_RANGE = "10.0.0.0/16"
"""Within 10.0.0.0/8, as what k3s gives pods and Services: tenants may reach none of it."""

# Kubernetes 1.35 or newer: since then resourceVersions can be compared.
K3S = "v1.36.4+k3s1"
IMAGE = "debian-13"

# What deploy/hetzner/knative asks the cloud controller for.
LOAD_BALANCER = "lb11"

WORKERS_MAX = 50


@dataclass(frozen=True)
class Settings:
    """A cluster as it is wanted. Raises BadSetting when it makes no sense."""

    name: str = "maxcloud"
    location: str = "nbg1"
    control_plane_type: str = "cx33"
    worker_type: str = "cx33"
    workers: int = 3
    operators: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every value."""
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?", self.name):
            raise BadSetting(
                f"--name must be lower-case letters, digits and '-', not '{self.name}'"
            )
        if self.location not in LOCATIONS:
            allowed = ", ".join(LOCATIONS)
            raise BadSetting(f"--location must be one of {allowed}, not '{self.location}'")
        if not 0 <= self.workers <= WORKERS_MAX:
            raise BadSetting(f"--workers must be from 0 to {WORKERS_MAX}, not {self.workers}")
        if not self.operators:
            raise BadSetting(
                "--operator is missing: name the address that you reach the cluster from, such as "
                "203.0.113.7; ports 22 and 6443 are closed to all others"
            )
        object.__setattr__(self, "operators", tuple(sorted(set(map(_range, self.operators)))))

    @property
    def control_plane(self) -> str:
        """The name of the machine that runs Kubernetes itself."""
        return f"{self.name}-control-plane-1"

    @property
    def worker_names(self) -> tuple[str, ...]:
        """The names of the machines that run services."""
        return tuple(f"{self.name}-worker-{number}" for number in range(1, self.workers + 1))


def _range(text: str) -> str:
    """Return an address or a range as Hetzner keeps it; raises BadSetting for the whole world."""
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as error:
        said = f"--operator must be an address such as 203.0.113.7, not '{text}'"
        raise BadSetting(said) from error
    if network.prefixlen == 0:
        raise BadSetting(f"--operator {text} would open ports 22 and 6443 to the world")
    return str(network)


def public_key(private: Path) -> str:
    """Return the public half of a key of SSH; raises BadSetting when there is none."""
    path = private.with_name(f"{private.name}.pub")
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadSetting(
            f"there is no {path}: make a key with `ssh-keygen -t ed25519 -f {private}`"
        ) from error

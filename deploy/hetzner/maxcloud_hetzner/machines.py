"""What a new machine does when it starts: cloud-init documents. Pure.

They hold no lasting secret. Every process of a machine may ask Hetzner's metadata service for them,
so a worker's token is one that k3s forgets after an hour.
"""

from pathlib import Path
from typing import Any

import yaml

from maxcloud_hetzner.settings import K3S, NETWORK_RANGE

START = Path(__file__).with_name("start-k3s.sh")

# Of Hetzner's own, which answers for a whole document.
USER_DATA_MAX = 32 * 1024


def control_plane(has_workers: bool) -> str:
    """Return the document of the machine that runs Kubernetes itself."""
    config: dict[str, Any] = {
        "cluster-init": True,  # etcd: it can get two more members later, and snapshots
        "disable": ["traefik", "servicelb", "local-storage"],
        "disable-cloud-controller": True,
        "secrets-encryption": True,
        "write-kubeconfig-mode": "0600",
        "etcd-snapshot-schedule-cron": "0 */6 * * *",
        "etcd-snapshot-retention": 28,
        "kubelet-arg": ["cloud-provider=external"],
    }
    if has_workers:
        config["node-taint"] = ["node-role.kubernetes.io/control-plane=true:NoSchedule"]
    return _document("server", config)


def worker(address: str, token: str) -> str:
    """Return the document of a machine that joins the control plane at a private address."""
    config = {
        "server": f"https://{address}:6443",
        "token": token,
        "kubelet-arg": ["cloud-provider=external"],
    }
    return _document("agent", config)


def _document(role: str, config: dict[str, Any]) -> str:
    settings = f"ROLE={role}\nK3S_VERSION={K3S}\nNETWORK_RANGE={NETWORK_RANGE}\n"
    document = {
        "package_update": True,
        "packages": ["curl", "unattended-upgrades"],
        "ssh_pwauth": False,
        "write_files": [
            _file("/etc/maxcloud/machine", settings),
            _file("/etc/rancher/k3s/config.yaml", yaml.safe_dump(config, sort_keys=False)),
            _file("/usr/local/sbin/start-k3s", START.read_text(encoding="utf-8"), "0700"),
        ],
        "runcmd": [["/usr/local/sbin/start-k3s"]],
    }
    return "#cloud-config\n" + yaml.safe_dump(document, sort_keys=False)


def _file(path: str, content: str, mode: str = "0600") -> dict[str, str]:
    return {"path": path, "permissions": mode, "content": content}

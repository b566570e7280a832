"""The platform's own objects: deploy/base and eventing/ as they are, with this machine's settings.

The manifests are what an operator applies to a cluster. What an overlay says there is said here:
the host, the secrets, and that the database is the embedded one.
"""

import base64
from collections.abc import Mapping

from maxcloud_local import manifests
from maxcloud_local.kinds import INGRESS, PING_SOURCE, SERVICE, kind_of
from maxcloud_local.store import Object, Store

SYSTEM = "mc-system"

FUNCTIONS = manifests.ROOT / "functions"

# The engine brings a database of its own, migrates it, and has its own way with the registry. It is
# on one machine, where nobody is to make room.
_NOT_HERE = {"postgres.yaml", "migrate.yaml", "distribution.yaml", "priority.yaml"}

# A person is waiting, and there is little to look at.
_SWEEP_SCHEDULE = "* * * * *"


def load(
    store: Store, secrets: Mapping[str, Mapping[str, str]], settings: Mapping[str, str]
) -> None:
    """Put the platform's objects into the store.

    `secrets` are the Secrets' content by name, `settings` is that of the ConfigMap `platform`.
    """
    objects = [
        *(_namespace(name) for name in ("default", "knative-serving")),
        *map(_for_this_machine, manifests.read(manifests.BASE, _NOT_HERE)),
        *(_secret(name, content) for name, content in secrets.items()),
        _config_map(SYSTEM, "platform", settings),
        # Where Knative has it: how long a service is without requests until it sleeps.
        _config_map("knative-serving", "config-autoscaler", {"stable-window": "60s"}),
    ]
    for each in objects:
        kind = kind_of(each["apiVersion"], each["kind"])
        if kind is None:
            raise LookupError(f"the engine has no {each['apiVersion']} {each['kind']}")
        store.create(kind, each)


def _for_this_machine(manifest: Object) -> Object:
    kind = kind_of(manifest["apiVersion"], manifest["kind"])
    spec = manifest.get("spec", {})
    if kind == INGRESS:
        spec["rules"][0]["hosts"] = ["localhost"]
    elif kind == PING_SOURCE:
        spec["schedule"] = _SWEEP_SCHEDULE
    elif kind == SERVICE:
        # The functions are tested code: they need not show that they start.
        annotations = spec["template"]["metadata"]["annotations"]
        annotations["autoscaling.knative.dev/initial-scale"] = "0"
    return manifest


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _config_map(namespace: str, name: str, data: Mapping[str, str]) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}


def _secret(name: str, data: Mapping[str, str]) -> Object:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": SYSTEM}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}

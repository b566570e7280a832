"""The service `shop`: as it is wanted, and as the cluster has it."""

import copy
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from maxcloud.knative import manifests
from maxcloud.knative.manifests import Wanted
from maxcloud.knative.objects import Manifest
from maxcloud.models import Template
from maxcloud.traffic import LATEST, TrafficShare, all_to

ID, ORG = UUID(int=1), UUID(int=2)
LABELS = {
    "maxcloud.dev/managed": "true",
    "maxcloud.dev/org": str(ORG),
    "maxcloud.dev/service-id": str(ID),
}
IMAGE = f"docker.io/library/nginx@sha256:{'a' * 64}"


def as_wanted(generation: int = 3, traffic: Sequence[TrafficShare] = (), **settings: Any) -> Wanted:
    template = Template(image=IMAGE, **({"port": 8080} | settings))
    return Wanted(
        id=ID,
        org_id=ORG,
        name="shop",
        namespace="mc-org-2",
        generation=generation,
        revision=f"shop-{generation:05}",
        template=template,
        traffic=tuple(traffic or all_to(LATEST)),
    )


def wanted(generation: int = 3, traffic: Sequence[TrafficShare] = (), **settings: Any) -> Manifest:
    return manifests.service(as_wanted(generation, traffic, **settings))


def live(generation: int = 3, **settings: Any) -> Manifest:
    """What Knative 1.23 keeps of what was written, with its defaults and its bookkeeping."""
    made = copy.deepcopy(wanted(generation, **settings))
    made["metadata"] |= {
        "uid": "0b3c2c6e-0000-4000-8000-000000000001",
        "resourceVersion": "1234",
        "generation": 2,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "reconcile", "operation": "Update"}],
    }
    made["metadata"]["annotations"] |= {
        "serving.knative.dev/creator": "system:serviceaccount:mc-system:reconcile",
        "serving.knative.dev/lastModifier": "system:serviceaccount:mc-system:reconcile",
    }
    spec = made["spec"]["template"]["spec"]
    made["spec"]["template"]["metadata"]["creationTimestamp"] = None
    spec["containers"][0] |= {
        "name": "user-container",
        "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
    }
    if not spec["containers"][0]["env"]:
        del spec["containers"][0]["env"]
    made["status"] = {"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True"}]}
    return made

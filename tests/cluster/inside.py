"""What stands in the cluster and is reached from this machine as pods reach it."""

from __future__ import annotations

import base64
import json

from tests.cluster.environment import kubectl


def address(service: str, namespace: str) -> str:
    """The address of a Service, which this machine reaches as pods do."""
    return kubectl("get", "service", service, "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")


def database_url(role: str) -> str:
    secret = json.loads(kubectl("get", "secret", "database", "-n", "mc-system", "-o", "json"))
    url = base64.b64decode(secret["data"][f"{role}-url"]).decode()
    return url.replace("postgres.mc-system", address("postgres", "mc-system"))

"""Asking the platform's database through a Job in the cluster: `python -m maxcloud.upkeep`."""

import json
from typing import Any

from maxcloud_cli.platform.cluster import Cluster
from maxcloud_cli.platform.errors import ClusterRefused, JobFailed
from maxcloud_cli.platform.parts import KSVC, SYSTEM, Object
from maxcloud_cli.platform.steps import wait

JOB, POD = ("batch/v1", "Job"), ("v1", "Pod")

WAIT_SECONDS = 90

# The function whose image and database role the Job has.
_AS = "reconcile"

_VARIABLES = {"DATABASE_URL", "K_SINK"}


def ask(cluster: Cluster, *words: str) -> dict[str, Any]:
    """Run `maxcloud.upkeep` with these words and return what it says; raises JobFailed."""
    ksvc = cluster.get(*KSVC, _AS, SYSTEM)
    if ksvc is None:
        raise JobFailed(f"there is no function {_AS}, whose image and database would be used")
    made = cluster.create(job(ksvc, words))
    name = made["metadata"]["name"]
    try:
        _wait(cluster, name)
        return _answer(cluster, name)
    finally:
        cluster.delete(*JOB, name, SYSTEM)


def job(ksvc: Object, words: tuple[str, ...]) -> Object:
    """Return the Job: the function's image as its account without rights, one try."""
    [container] = ksvc["spec"]["template"]["spec"]["containers"]
    asking = {
        "name": "upkeep",
        "image": container["image"],
        "command": ["/venv/bin/python", "-m", "maxcloud.upkeep", *words],
        "env": [each for each in container["env"] if each["name"] in _VARIABLES],
        "envFrom": container.get("envFrom", []),
        "resources": {
            "requests": {"cpu": "10m", "memory": "64Mi"},
            "limits": {"memory": "256Mi"},
        },
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": JOB[0],
        "kind": JOB[1],
        "metadata": {"generateName": "upkeep-", "namespace": SYSTEM},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": WAIT_SECONDS,
            "ttlSecondsAfterFinished": 300,
            "template": {
                "metadata": {"labels": {"maxcloud.dev/job": "upkeep"}},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": "migrate",
                    "enableServiceLinks": False,
                    "containers": [asking],
                },
            },
        },
    }


def log(cluster: Cluster, name: str) -> str:
    """Return what a Job's pod has written; nothing when there is none any more."""
    pods = cluster.list(*POD, SYSTEM, f"batch.kubernetes.io/job-name={name}")
    if not pods:
        return ""
    path = f"/api/v1/namespaces/{SYSTEM}/pods/{pods[0]['metadata']['name']}/log"
    try:
        return cluster.read(path)
    except (LookupError, ClusterRefused):
        return ""


def _wait(cluster: Cluster, name: str) -> None:
    def still() -> str:
        status = (cluster.get(*JOB, name, SYSTEM) or {}).get("status", {})
        if status.get("failed"):
            raise JobFailed(log(cluster, name).strip() or "it ended without a word")
        return "" if status.get("succeeded") else f"the job {name}"

    wait(still, seconds=WAIT_SECONDS)


def _answer(cluster: Cluster, name: str) -> dict[str, Any]:
    lines = log(cluster, name).splitlines()
    try:
        answer: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError) as error:
        raise JobFailed("its answer cannot be read") from error
    return answer

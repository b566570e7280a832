"""From a service's template to the object that its revision is. Pure."""

from maxcloud_local.kinds import REVISION, SERVICE, SERVICE_LABEL
from maxcloud_local.store import Object

_GROUP = "serving.knative.dev"


def revision_object(name: str, ksvc: Object, generation: int) -> Object:
    """Return the Revision of a service's template; `generation` counts the templates.

    Source: knative.dev/serving, pkg/reconciler/configuration/resources/revision.go; here the
    Service is the owner, as there is no Configuration in between.
    """
    service, template = ksvc["metadata"], ksvc["spec"]["template"]
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": REVISION.api_version,
        "kind": REVISION.name,
        "metadata": {
            "name": name,
            "namespace": service["namespace"],
            "labels": {
                **(metadata.get("labels") or {}),
                SERVICE_LABEL: service["name"],
                f"{_GROUP}/serviceUID": service["uid"],
                f"{_GROUP}/configuration": service["name"],
                f"{_GROUP}/configurationGeneration": str(generation),
            },
            "annotations": metadata.get("annotations") or {},
            "ownerReferences": [
                {
                    "apiVersion": SERVICE.api_version,
                    "kind": SERVICE.name,
                    "name": service["name"],
                    "uid": service["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": template["spec"],
    }

"""What an answer of the Kubernetes API means: a lasting refusal, or one for now."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from maxcloud.errors import MaxCloudError, TemporaryError
from maxcloud.knative import cluster

pytestmark = pytest.mark.anyio

# As k8s.io/apiserver's admission of namespaces answers.
ENDING = {
    "message": "configurations is forbidden: unable to create new content in namespace mc-org-1 "
    "because it is being terminated",
    "reason": "Forbidden",
    "details": {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]},
}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"message": "spec.template: no"}, cluster.Refused),
        (422, {"message": "spec.template: no", "details": None}, cluster.Refused),
        (403, {"message": "exceeded quota: maxcloud, requested: pods=1"}, cluster.QuotaExceeded),
        (403, {"message": "reconcile may not", "details": {"causes": None}}, cluster.Away),
        (403, ENDING, cluster.Ending),
        (404, {"message": 'namespaces "mc-org-1" not found'}, TemporaryError),
        (409, {"message": "the object has been modified"}, TemporaryError),
        (500, "no JSON at all", cluster.Away),
        (502, ["no Status either"], cluster.Away),
    ],
)
async def test_a_refusal_is_told_apart(
    status: int, body: Any, expected: type[MaxCloudError]
) -> None:
    def refuse(_request_timeout: int) -> Any:
        error = ApiException(status=status, reason="its reason")
        error.body = body if isinstance(body, str) else json.dumps(body)
        raise error

    with pytest.raises(MaxCloudError) as caught:
        await cluster._call(refuse)
    assert type(caught.value) is expected
    said = body["message"] if isinstance(body, dict) else "its reason"
    assert said in str(caught.value)

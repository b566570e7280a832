"""What the Kubernetes API does not take, and how it says so."""

import io
import json
from typing import Any

import pytest

from maxcloud_local import kinds
from maxcloud_local.kinds import POD, SECRET, SERVICE
from tests.local.apiserver import CORE, KSVCS, MERGE, ApiServer, an_object, assert_refused, ksvc

pytestmark = pytest.mark.anyio

BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


async def test_refusals_have_kubernetes_words(api: ApiServer) -> None:
    await api.call("POST", KSVCS, ksvc())
    said = assert_refused(await api.call("GET", f"{KSVCS}/none"), 404, "NotFound")
    assert said == 'services.serving.knative.dev "none" not found'
    said = assert_refused(await api.call("POST", KSVCS, ksvc()), 409, "AlreadyExists")
    assert said == 'services.serving.knative.dev "hello" already exists'
    elsewhere = ksvc(metadata={"namespace": "none"})
    answer = await api.call("POST", KSVCS.replace("default", "none"), elsewhere)
    assert assert_refused(answer, 404, "NotFound") == 'namespaces "none" not found'
    assert_refused(await api.call("GET", "/apis/apps/v1/deployments"), 404, "NotFound")
    for method, path in (
        ("POST", "/apis/serving.knative.dev/v1/services"),
        ("DELETE", KSVCS),
        ("PATCH", KSVCS),
        ("POST", f"{KSVCS}/hello"),
        ("DELETE", "/version"),
    ):
        assert_refused(await api.call(method, path), 405, "MethodNotAllowed")
    for kind in ("json-patch+json", "apply-patch+yaml", "vnd.kubernetes.protobuf"):
        headers = {"Content-Type": f"application/{kind}"}
        for method, path in (("PATCH", f"{KSVCS}/hello"), ("POST", KSVCS)):
            answer = await api.call(method, path, headers=headers)
            said = assert_refused(answer, 415, "UnsupportedMediaType")
            assert "kubectl apply -f" in said
    headers = {"Accept": "application/vnd.kubernetes.protobuf"}
    assert_refused(await api.call("GET", KSVCS, headers=headers), 406, "NotAcceptable")
    json_type = {"Content-Type": "application/json"}
    large = io.BytesIO(b" " * 4 * 2**20)
    async with api.client.post(KSVCS, data=large, headers=json_type) as refusal:
        assert_refused((refusal.status, await refusal.json()), 413, "RequestEntityTooLarge")


WRONG: list[Any] = [
    *({"metadata": None}, {"metadata": []}, {"metadata": "hello"}),
    *({"spec": None}, {"spec": []}, {"spec": 5}),
]

WRONG_METADATA: list[Any] = [
    *({"name": 5}, {"name": {"a": "b"}}, {"namespace": "other"}, {"namespace": 5}),
    *({"labels": []}, {"labels": {"a": 1}}, {"labels": {"a": None}}),
    *({"annotations": "x"}, {"annotations": {"a": {}}}, {"finalizers": [1]}),
    *({"ownerReferences": {}}, {"resourceVersion": 5}, {"uid": 5}),
]

BAD_BODIES = [
    b"",
    b"{",
    b"\xff\xfe{\x00}\x00",
    b"null",
    b"[]",
    b"5",
    b'{"spec": NaN}',
    b'{"spec": {"a": 1e999}}',
    b'{"spec": ' + b"9" * 5000 + b"}",
    b"[" * 10_000,
    *(b'{"a":' * deep + b"1" + b"}" * deep for deep in (101, 500, 10_000)),
    b'{"spec": {"a": ' + b"[" * 99 + b"1" + b"]" * 99 + b"}}",
    b"{}",
    json.dumps(an_object(POD, "hello")).encode(),
    json.dumps(ksvc() | {"apiVersion": "serving.knative.dev/v2"}).encode(),
    json.dumps(ksvc() | {"kind": ["Service"]}).encode(),
    *(json.dumps(ksvc() | wrong).encode() for wrong in WRONG),
    *(json.dumps(ksvc(metadata=wrong)).encode() for wrong in WRONG_METADATA),
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:60]))
async def test_a_body_that_is_no_such_object_is_a_bad_request(api: ApiServer, body: bytes) -> None:
    json_type = {"Content-Type": "application/json"}
    await api.call("POST", KSVCS, ksvc())
    for method, path in (("POST", KSVCS), ("PUT", f"{KSVCS}/hello")):
        async with api.client.request(method, path, data=body, headers=json_type) as answer:
            assert_refused((answer.status, await answer.json()), 400, "BadRequest")


async def test_a_patch_that_breaks_an_object_is_a_bad_request(api: ApiServer) -> None:
    await api.call("POST", KSVCS, ksvc())
    broken: list[Any] = [
        *({"kind": "Pod"}, {"metadata": None}, {"metadata": {"name": "other"}}, {"spec": 5}),
        *({"metadata": {"labels": {"a": 1}}}, {"metadata": {"namespace": "other"}}),
    ]
    for patch in broken:
        answer = await api.call("PATCH", f"{KSVCS}/hello", patch, headers=MERGE)
        assert_refused(answer, 400, "BadRequest")
    wrong: list[Any] = [{"preconditions": 5}, {"dryRun": 5}, {"dryRun": ["All"]}, [], "x"]
    for options in wrong:
        assert_refused(await api.call("DELETE", f"{KSVCS}/hello", options), 400, "BadRequest")


@pytest.mark.parametrize(
    ("metadata", "part"),
    [
        ({"name": ""}, "name is required"),
        ({"name": "Hello"}, "metadata.name"),
        ({"name": "a_b"}, "metadata.name"),
        ({"name": "a/b"}, "metadata.name"),
        ({"name": "-a"}, "metadata.name"),
        ({"name": "a\n"}, "metadata.name"),
        ({"name": "\ud800"}, "metadata.name"),
        ({"name": "a" * 254}, "metadata.name"),
        ({"labels": {"a": "b c"}}, "metadata.labels"),
        ({"labels": {"a": "b" * 64}}, "metadata.labels"),
    ],
)
async def test_names_and_labels_have_rules(
    api: ApiServer, metadata: dict[str, Any], part: str
) -> None:
    said = assert_refused(await api.call("POST", KSVCS, ksvc(metadata=metadata)), 422, "Invalid")
    assert part in said
    role = an_object(kinds.CLUSTER_ROLE_BINDING, "system:thing")
    assert (await api.call("POST", BINDINGS, role))[0] == 201
    assert (await api.call("GET", f"{BINDINGS}/system%3Athing"))[0] == 200


async def test_what_would_break_a_reader_is_refused(api: ApiServer) -> None:
    for kind, broken in (
        (POD, {"spec": {"containers": 5}}),
        (POD, {"spec": {"containers": [{}]}}),
        (SECRET, {"data": []}),
        (SECRET, {"stringData": {"a": 1}}),
        (kinds.CONFIG_MAP, {"data": {"a": {}}}),
    ):
        collection = f"{CORE}/namespaces/default/{kind.plural}"
        answer = await api.call("POST", collection, an_object(kind, "x", **broken))
        assert_refused(answer, 400, "BadRequest")


async def test_nothing_is_written_on_a_dry_run(api: ApiServer) -> None:
    _, made = await api.call("POST", KSVCS, ksvc())
    path, dry = f"{KSVCS}/hello", {"dryRun": "All"}
    for method, where, body in (
        ("POST", KSVCS, ksvc("other")),
        ("PUT", path, made | {"spec": {}}),
        ("PATCH", path, {"spec": {"a": 1}}),
        ("DELETE", path, None),
    ):
        headers = MERGE if method == "PATCH" else {}
        answer = await api.call(method, where, body, params=dry, headers=headers)
        assert_refused(answer, 400, "BadRequest")
    assert api.store.all(SERVICE) == [made]


async def test_a_mistake_of_ours_shows_nothing(
    api: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    api.store.create(SERVICE, ksvc(spec={"cannot": {1, 2}}))
    said = assert_refused(await api.call("GET", KSVCS), 500, "InternalError")
    assert said == "something went wrong on the engine's side"
    assert "not JSON serializable" in caplog.text

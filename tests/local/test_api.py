"""The Kubernetes API over TLS: how objects are made, read, changed and deleted, and by whom."""

import sys

import pytest

from maxcloud_local.kinds import KINDS, NAMESPACE, SERVICE, Kind
from maxcloud_local.kubernetes.discovery import documents
from tests.local.apiserver import CORE, KSVCS, MERGE, ApiServer, an_object, assert_refused, ksvc

pytestmark = pytest.mark.anyio

METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TABLE = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,"
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)


async def test_only_the_token_opens_it(api: ApiServer) -> None:
    for said in ("", "Bearer", "Bearer x", f"Basic {api.access.token}", "Bearer \xe9"):
        answer = await api.call("GET", KSVCS, headers={"Authorization": said})
        assert_refused(answer, 401, "Unauthorized")
    answer = await api.call("GET", "/nowhere", headers={"Authorization": ""})
    assert_refused(answer, 401, "Unauthorized")
    for path in ("/healthz", "/livez", "/readyz"):
        async with api.client.get(path, headers={"Authorization": ""}) as probe:
            assert (probe.status, await probe.text()) == (200, "ok")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.plural)
async def test_every_kind_is_made_read_changed_and_deleted(api: ApiServer, kind: Kind) -> None:
    root = f"/apis/{kind.api_version}" if kind.group else CORE
    collection = f"{root}{'/namespaces/default' if kind.namespaced else ''}/{kind.plural}"
    status, made = await api.call("POST", collection, an_object(kind, "shop"))
    assert (status, made["kind"], made["apiVersion"]) == (201, kind.name, kind.api_version)
    assert (await api.call("GET", f"{collection}/shop"))[1] == made
    changed = made | {"metadata": made["metadata"] | {"labels": {"a": "b"}}}
    status, changed = await api.call("PUT", f"{collection}/shop", changed)
    assert (status, changed["metadata"]["labels"]) == (200, {"a": "b"})
    patch = {"metadata": {"labels": {"a": None}}}
    status, patched = await api.call("PATCH", f"{collection}/shop", patch, headers=MERGE)
    assert (status, patched["metadata"]["labels"]) == (200, {})
    _, listed = await api.call("GET", f"{root}/{kind.plural}")
    assert patched in listed["items"]
    status, gone = await api.call("DELETE", f"{collection}/shop")
    assert (status, gone["status"], gone["details"]["uid"]) == (
        *(200, "Success"),
        made["metadata"]["uid"],
    )
    assert_refused(await api.call("GET", f"{collection}/shop"), 404, "NotFound")


async def test_a_write_on_something_newer_is_a_conflict(api: ApiServer) -> None:
    _, first = await api.call("POST", KSVCS, ksvc())
    _, second = await api.call("PUT", f"{KSVCS}/hello", first | {"spec": {"template": {"a": 1}}})
    assert second["metadata"]["generation"] == 2
    assert_refused(await api.call("PUT", f"{KSVCS}/hello", first), 409, "Conflict")
    old = {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}}
    answer = await api.call("PATCH", f"{KSVCS}/hello", old, headers=MERGE)
    assert_refused(answer, 409, "Conflict")
    blind = await api.call("PUT", f"{KSVCS}/hello", ksvc())
    assert "must be specified for an update" in assert_refused(blind, 422, "Invalid")
    for precondition in ({"uid": "other"}, {"resourceVersion": "1"}):
        options = {"preconditions": precondition}
        answer = await api.call("DELETE", f"{KSVCS}/hello", options)
        assert_refused(answer, 409, "Conflict")
    right = {"preconditions": {"uid": first["metadata"]["uid"]}}
    assert (await api.call("DELETE", f"{KSVCS}/hello", right))[0] == 200


async def test_a_finalizer_holds_an_object_until_it_is_taken_away(api: ApiServer) -> None:
    held = ksvc(metadata={"finalizers": ["maxcloud.dev/hold"]})
    await api.call("POST", KSVCS, held)
    status, going = await api.call("DELETE", f"{KSVCS}/hello")
    assert (status, going["kind"]) == (200, "Service")
    assert "deletionTimestamp" in going["metadata"]
    let_go = {"metadata": {"finalizers": None}}
    assert (await api.call("PATCH", f"{KSVCS}/hello", let_go, headers=MERGE))[0] == 200
    assert_refused(await api.call("GET", f"{KSVCS}/hello"), 404, "NotFound")


async def test_a_client_does_not_write_what_is_the_servers(api: ApiServer) -> None:
    theirs = {"uid": "u", "resourceVersion": "7", "managedFields": [], "generation": 9}
    theirs |= {"creationTimestamp": None, "deletionTimestamp": "2026-01-01T00:00:00Z"}
    _, made = await api.call("POST", KSVCS, ksvc(metadata=theirs, status={"url": "x"}))
    assert "status" not in made
    assert not {"managedFields", "deletionTimestamp"} & set(made["metadata"])
    assert made["metadata"]["generation"] == 1
    assert made["metadata"]["uid"] != "u"


async def test_lists_are_selected_and_paged(api: ApiServer) -> None:
    api.store.create(NAMESPACE, an_object(NAMESPACE, "shop"))
    for number in range(5):
        labels = {"labels": {"parity": "even" if number % 2 == 0 else "odd"}}
        api.store.create(SERVICE, ksvc(f"s{number}", metadata=labels))
    api.store.create(SERVICE, ksvc("s9", metadata={"namespace": "shop"}))
    everywhere = "/apis/serving.knative.dev/v1/services"

    async def names(path: str, **query: str) -> list[str]:
        status, listed = await api.call("GET", path, params=query)
        assert status == 200, listed
        return [item["metadata"]["name"] for item in listed["items"]]

    assert await names(everywhere) == ["s0", "s1", "s2", "s3", "s4", "s9"]
    assert await names(everywhere, labelSelector="parity in (odd)") == ["s1", "s3"]
    assert await names(everywhere, fieldSelector="metadata.name=s2") == ["s2"]
    assert await names(everywhere, fieldSelector="metadata.namespace=shop") == ["s9"]
    assert await names(KSVCS, labelSelector="!parity") == []
    assert await names(KSVCS.replace("default", "none")) == []
    seen, query = [], {"limit": "2"}
    while True:
        _, listed = await api.call("GET", everywhere, params=query)
        seen.append([item["metadata"]["name"] for item in listed["items"]])
        if not (position := listed["metadata"].get("continue")):
            break
        query["continue"] = position
    assert seen == [["s0", "s1"], ["s2", "s3"], ["s4", "s9"]]
    for bad in (
        *({"limit": "-1"}, {"limit": "x"}, {"limit": "9" * 5000}, {"continue": "x"}),
        *({"continue": "WzEsMl0="}, {"continue": "W3t9LDEsMl0="}, {"watch": "maybe"}),
        *({"labelSelector": "a=b=c"}, {"fieldSelector": "spec.x=1"}, {"continue": "\u00e9"}),
    ):
        assert_refused(await api.call("GET", KSVCS, params=bad), 400, "BadRequest")


async def test_metadata_and_tables_are_given_to_who_asks(api: ApiServer) -> None:
    _, made = await api.call("POST", KSVCS, ksvc())
    _, listed = await api.call("GET", KSVCS, headers={"Accept": METADATA})
    assert listed["kind"] == "PartialObjectMetadataList"
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    assert listed["items"] == [partial | {"metadata": made["metadata"]}]
    for path in (KSVCS, f"{KSVCS}/hello"):
        _, table = await api.call("GET", path, headers={"Accept": TABLE})
        assert (table["kind"], len(table["rows"])) == ("Table", 1)
        assert table["rows"][0]["object"] == partial | {"metadata": made["metadata"]}
    whole = {"includeObject": "Object"}
    _, table = await api.call("GET", KSVCS, headers={"Accept": TABLE}, params=whole)
    assert table["rows"][0]["object"] == made
    answer = await api.call("GET", KSVCS, params={"includeObject": "x"})
    assert_refused(answer, 400, "BadRequest")


async def test_discovery_names_every_kind(api: ApiServer) -> None:
    found = set()
    for path in documents():
        status, document = await api.call("GET", path)
        assert status == 200
        if document.get("kind") == "APIResourceList":
            version = document["groupVersion"]
            found |= {(version, each["kind"]) for each in document["resources"]}
    assert found == {(kind.api_version, kind.name) for kind in KINDS}


async def test_the_platforms_own_client_works(api: ApiServer) -> None:
    script = """
import asyncio
from maxcloud.errors import TemporaryError
from maxcloud.knative import cluster

async def main():
    ksvc = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": {"template": {}}}
    labels = {"maxcloud.dev/managed": "true"}
    for name in ("shop", "hello"):
        ksvc["metadata"] = {"name": name, "namespace": "default", "labels": labels}
        made = await cluster.create_service(ksvc)
    cluster.PAGE = 1
    found = [each["metadata"]["name"] async for each in cluster.managed_services()]
    assert found == ["hello", "shop"], found
    made["spec"]["template"] = {"a": "b"}
    replaced = await cluster.replace_service(made)
    assert replaced["metadata"]["generation"] == 2
    try:
        await cluster.replace_service(made)
    except TemporaryError as error:
        assert "has been modified" in str(error), error
    else:
        raise AssertionError("the conflict went unseen")
    try:
        await cluster.create_service({**ksvc, "metadata": {"name": "A b", "namespace": "default"}})
    except cluster.Refused as error:
        assert "metadata.name" in str(error), error
    assert await cluster.get_revision("default", "none") is None
    assert await cluster.pods_of_revision("default", "none") == []
    await cluster.delete_service(made)
    assert await cluster.get_service("default", "hello") is None
    print("done")

asyncio.run(main())
"""
    assert await api.run(sys.executable, "-c", script) == "done\n"

"""Real kubectl against the API: what people do by hand every day."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
import yaml

from maxcloud_local.kinds import BROKER, NAMESPACE, POD, SECRET, SERVICE, TRIGGER
from tests.local.apiserver import DEADLINE, ApiServer, an_object

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
]

READY = {"conditions": [{"type": "Ready", "status": "True"}]}
CONTAINER = {"name": "user-container", "image": "nginx"}


def ksvc(image: str = "nginx", name: str = "hello") -> str:
    spec = {"template": {"spec": {"containers": [{"image": image}]}}}
    return yaml.safe_dump(an_object(SERVICE, name, spec=spec))


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE):
        return (await process.stdout.readline()).decode()


async def end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    await process.communicate()


async def test_get_prints_the_columns_that_people_know(api: ApiServer) -> None:
    api.store.create(SERVICE, an_object(SERVICE, "hello", spec={}))
    api.store.set_status(
        SERVICE, "default", "hello", READY | {"url": "http://hello.localhost:8080"}
    )
    api.store.create(TRIGGER, an_object(TRIGGER, "reconcile", spec={"broker": "maxcloud"}))
    api.store.create(POD, an_object(POD, "hello-00001-abcde", spec={"containers": [CONTAINER]}))
    printed = await api.run("kubectl", "get", "ksvc,triggers,pods", "-A")
    lines = [line.split() for line in printed.splitlines() if line]
    assert lines[0] == "NAMESPACE NAME URL LATESTCREATED LATESTREADY READY REASON".split()
    assert lines[1][:3] == [
        "default",
        "service.serving.knative.dev/hello",
        "http://hello.localhost:8080",
    ]
    assert lines[2] == "NAMESPACE NAME BROKER SUBSCRIBER_URI AGE READY REASON".split()
    assert lines[3][1:3] == ["trigger.eventing.knative.dev/reconcile", "maxcloud"]
    assert lines[4] == "NAMESPACE NAME READY STATUS RESTARTS AGE".split()
    assert lines[5][1:5] == ["pod/hello-00001-abcde", "0/1", "Pending", "0"]


async def test_get_writes_the_object_out(api: ApiServer) -> None:
    api.store.create(BROKER, an_object(BROKER, "maxcloud", spec={}))
    assert yaml.safe_load(await api.run("kubectl", "get", "broker", "maxcloud", "-o", "yaml")) == (
        api.store.get(BROKER, "default", "maxcloud")
    )
    assert await api.run("kubectl", "get", "brokers", "-o", "name") == (
        "broker.eventing.knative.dev/maxcloud\n"
    )
    listed = json.loads(await api.run("kubectl", "get", "brokers", "-o", "json"))
    assert [item["metadata"]["name"] for item in listed["items"]] == ["maxcloud"]
    assert "maxcloud" in await api.run("kubectl", "get", "knative", "-A")


async def test_get_watches(api: ApiServer) -> None:
    api.store.create(SERVICE, an_object(SERVICE, "hello", spec={}))
    watching = await api.start("kubectl", "get", "ksvc", "-w")
    assert (await line_of(watching)).startswith("NAME")
    assert (await line_of(watching)).split() == ["hello"]
    api.store.set_status(SERVICE, "default", "hello", READY)
    assert (await line_of(watching)).split() == ["hello", "True"]
    await end(watching)


async def test_apply_makes_changes_and_leaves_alone(api: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "hello.yaml"
    for image, outcome in (
        ("nginx", "created"),
        ("nginx", "unchanged"),
        ("httpd", "configured"),
    ):
        file.write_text(ksvc(image))
        said = await api.run("kubectl", "apply", "-f", str(file))
        assert said == f"service.serving.knative.dev/hello {outcome}\n"
        live = api.store.get(SERVICE, "default", "hello")
        assert live["spec"]["template"]["spec"]["containers"] == [{"image": image}]
    assert live["metadata"]["generation"] == 2


async def test_apply_takes_the_core_kinds(api: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    for value, outcome in (("1", "created"), ("2", "configured")):
        config = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"A": value}}
        config["metadata"] = {"name": "settings", "namespace": "shop", "labels": {"v": value}}
        objects = [an_object(NAMESPACE, "shop", metadata={"labels": {"v": value}}), config]
        file.write_text(yaml.safe_dump_all(objects))
        said = await api.run("kubectl", "apply", "-f", str(file))
        assert said == f"namespace/shop {outcome}\nconfigmap/settings {outcome}\n"
    assert await api.run("kubectl", "get", "cm", "-n", "shop", "-o", "jsonpath={..data.A}") == "2"


async def test_create_replace_and_change_in_part(api: ApiServer, tmp_path: Path) -> None:
    await api.run("kubectl", "create", "-f", "-", stdin=ksvc())
    await api.run("kubectl", "replace", "-f", "-", stdin=ksvc("httpd"))
    await api.run("kubectl", "label", "ksvc", "hello", "tier=web")
    await api.run("kubectl", "annotate", "ksvc", "hello", "note=mine")
    patch = '{"metadata": {"labels": {"tier": null, "side": "back"}}}'
    await api.run("kubectl", "patch", "ksvc", "hello", "--type", "merge", "-p", patch)
    live = api.store.get(SERVICE, "default", "hello")
    assert live["spec"]["template"]["spec"]["containers"] == [{"image": "httpd"}]
    assert live["metadata"]["labels"] == {"side": "back"}
    assert live["metadata"]["annotations"] == {"note": "mine"}
    assert "hello" in await api.run("kubectl", "get", "ksvc", "-l", "side in (back, front)")


async def test_edit_sends_what_the_editor_wrote(api: ApiServer, tmp_path: Path) -> None:
    await api.run("kubectl", "create", "-f", "-", stdin=ksvc())
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nexec sed -i s/nginx/httpd/ "$1"\n')
    editor.chmod(0o700)
    await api.run("env", f"KUBE_EDITOR={editor}", "kubectl", "edit", "ksvc", "hello")
    live = api.store.get(SERVICE, "default", "hello")
    assert live["spec"]["template"]["spec"]["containers"] == [{"image": "httpd"}]


async def test_deleting_a_namespace_takes_what_is_in_it(api: ApiServer) -> None:
    secret = an_object(SECRET, "database", "shop", stringData={"url": "x"})
    both = yaml.safe_dump_all([an_object(NAMESPACE, "shop"), secret])
    await api.run("kubectl", "create", "-f", "-", stdin=both)
    assert api.store.get(SECRET, "shop", "database")["data"] == {"url": "eA=="}
    assert "Active" in await api.run("kubectl", "get", "ns", "shop")
    assert "deleted" in await api.run("kubectl", "delete", "namespace", "shop")
    assert api.store.all(SECRET) == []


async def test_delete_waits_for_finalizers(api: ApiServer) -> None:
    held = an_object(SERVICE, "hello", spec={}, metadata={"finalizers": ["maxcloud.dev/hold"]})
    api.store.create(SERVICE, held)
    deleting = await api.start("kubectl", "delete", "ksvc", "hello")
    assert "deleted" in await line_of(deleting)
    async with asyncio.timeout(DEADLINE):
        async for change in api.store.changes(SERVICE):
            if "deletionTimestamp" in change.object["metadata"]:
                break
    assert deleting.returncode is None
    api.store.finish(SERVICE, "default", "hello")
    await deleting.communicate()
    assert deleting.returncode == 0


async def test_wait_ends_with_the_condition_and_with_the_object(api: ApiServer) -> None:
    api.store.create(SERVICE, an_object(SERVICE, "hello", spec={}))
    wait = ["kubectl", "wait", "ksvc/hello", f"--timeout={DEADLINE}s"]
    ready = await api.start(*wait, "--for=condition=Ready")
    gone = await api.start(*wait, "--for=delete")
    api.store.set_status(SERVICE, "default", "hello", READY)
    assert "condition met" in await line_of(ready)
    api.store.delete(SERVICE, "default", "hello")
    await gone.communicate()
    await ready.communicate()
    assert (ready.returncode, gone.returncode) == (0, 0)


async def test_logs_are_read_and_followed(api: ApiServer) -> None:
    api.store.create(POD, an_object(POD, "hello-1", spec={"containers": [CONTAINER]}))
    log = api.logs.open("default", "hello-1")
    for line in ("one", "two", "three"):
        log.write("stdout", line)
    assert await api.run("kubectl", "logs", "hello-1", "--tail", "2") == "two\nthree\n"
    assert await api.run("kubectl", "logs", "hello-1", "--since=1h") == "one\ntwo\nthree\n"
    timed = await api.run("kubectl", "logs", "hello-1", "--timestamps", "--tail=1")
    assert timed.endswith("Z three\n")
    following = await api.start("kubectl", "logs", "-f", "hello-1", "--tail=0")
    reading = asyncio.create_task(line_of(following))
    while not reading.done():
        log.write("stdout", "four")
        await asyncio.wait([reading], timeout=0.1)
    assert reading.result() == "four\n"
    log.end()
    await following.communicate()
    assert following.returncode == 0


async def test_api_resources_and_describe_do_not_fail(api: ApiServer) -> None:
    listed = await api.run("kubectl", "api-resources")
    assert {"ksvc,kservice", "po", "brokers"} <= set(listed.split())
    await api.run("kubectl", "version")
    await api.run("kubectl", "create", "-f", "-", stdin=ksvc())
    api.store.create(POD, an_object(POD, "hello-1", spec={"containers": [CONTAINER]}))
    assert "Spec:" in await api.run("kubectl", "describe", "ksvc", "hello")
    assert "user-container:" in await api.run("kubectl", "describe", "pod", "hello-1")


async def test_a_dry_run_writes_nothing(api: ApiServer) -> None:
    dry = await api.start("kubectl", "apply", "--dry-run=server", "-f", "-")
    _, error = await dry.communicate(ksvc().encode())
    assert dry.returncode == 1
    assert b"dry" in error
    assert api.store.all(SERVICE) == []

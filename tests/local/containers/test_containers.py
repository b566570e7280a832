"""Instances as containers of the engine of this machine."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from maxcloud import oci
from maxcloud_local.instances.containers import LABEL, Containers
from maxcloud_local.instances.engines import Engines
from maxcloud_local.instances.images import app as local_images
from maxcloud_local.instances.instances import Instance
from tests.local.containers.machine import (
    NEEDS_ENGINE,
    OWNER,
    PORTS,
    containers,
    engine,
    engine_of,
    limits,
    shell,
)
from tests.local.nursery import Nursery, get, revision, variables
from tests.local.standins import until

pytestmark = [pytest.mark.anyio, NEEDS_ENGINE]

TCP = {"tcpSocket": {"port": 0}, "periodSeconds": 1}


async def environment(instance: Instance) -> list[str]:
    """Return the lines of what the container sees: its variables, then its first process."""
    return (await get(instance, "/cgi-bin/env")).text.splitlines()


async def test_its_life(here: Nursery, image: str) -> None:
    env = {"MULTI": "a\nb=c", "EMPTY": "", "QUOTED": 'it\'s "$HOME" \\ ü --rm', "LATE": "$(MULTI)"}
    instance = here.start(
        revision(image, env=variables(env), ports=PORTS, readinessProbe=TCP, **limits(cpu="500m"))
    )
    await until(lambda: instance.ready, 20)
    assert (await get(instance)).text == f"version {OWNER}"
    seen = await environment(instance)
    for line in ("PORT=8080", "K_SERVICE=hello", "K_REVISION=hello-00001", "EMPTY="):
        assert line in seen
    assert f"HOSTNAME={instance.pod}" in seen
    assert (
        env["QUOTED"] == next(line for line in seen if line.startswith("QUOTED=")).partition("=")[2]
    )
    at = seen.index("MULTI=a")
    assert seen[at + 1] == "b=c"
    assert "LATE=a" in seen
    [found] = containers()
    ports = json.loads(engine("inspect", found))[0]["HostConfig"]["PortBindings"]
    assert [each["HostIp"] for published in ports.values() for each in published or []] == [
        "127.0.0.1"
    ]
    await instance.stop()
    assert containers() == []


async def test_a_pinned_image_runs_by_its_id(here: Nursery, image: str) -> None:
    digest, exposed = await here.engines.image(image)
    assert exposed == ["80/tcp"]
    instance = here.start(revision(f"{image}@{digest}", ports=PORTS))
    await until(lambda: instance.ready, 20)
    assert (await get(instance)).text == f"version {OWNER}"
    # Killed from outside, it comes back.
    engine("kill", *containers())
    await until(lambda: not instance.ready)
    await until(lambda: instance.ready, 20)
    assert here.container(instance)["lastState"]["terminated"]["exitCode"] == 137


async def test_the_functions_hear_of_it(image: str) -> None:
    runner = web.AppRunner(local_images(Engines()))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}/images"
    try:
        found = await oci.resolve(image, local_images=address)
        assert found.exposed_port == 80
        assert await oci.resolve(f"{image}@{found.digest}", local_images=address) == found
        with pytest.raises(
            oci.ImageRefused, match=f"{image}-nosuch:latest does not exist"
        ) as raised:
            await oci.resolve(f"{image}-nosuch", local_images=address)
        assert raised.value.reason == "ImageNotFound"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("container", "first"),
    [
        ({}, "/bin/sh /serve"),
        ({"args": ["/bin/sh", "/serve", "$(PORT)", "--rm"]}, "/bin/sh /serve 8080 --rm"),
        ({"command": ["/bin/sh", "/serve"]}, "/bin/sh /serve"),
        ({"command": ["/bin/sh"], "args": ["/serve", "a b"]}, "/bin/sh /serve a b"),
    ],
)
async def test_what_is_started(
    here: Nursery, image: str, container: dict[str, Any], first: str
) -> None:
    instance = here.start(revision(image, ports=PORTS, **container))
    await until(lambda: instance.ready, 20)
    assert (await environment(instance))[-1].strip() == first


async def test_it_may_have_what_its_revision_says(here: Nursery, image: str) -> None:
    found = await engine_of(here)
    instance = here.start(revision(image, ports=PORTS, **limits(memory="64Mi", cpu="250m")))
    await until(lambda: instance.ready, 20)
    [running] = containers()
    settings = json.loads(engine("inspect", running))[0]["HostConfig"]
    assert settings["Memory"] == (64 * 2**20 if found.limits_memory else 0)
    assert settings["NanoCpus"] == (250_000_000 if found.limits_cpu else 0)


async def test_the_deaf_are_killed(here: Nursery, image: str) -> None:
    instance = here.start(
        shell(
            image, "trap '' TERM; echo deaf; while :; do sleep 1; done", spec={"timeoutSeconds": 1}
        )
    )
    await until(lambda: "deaf" in here.output(instance), 20)
    await instance.stop()
    assert containers() == []


async def test_it_can_be_stopped_at_any_time(here: Nursery, image: str) -> None:
    for seconds in (0, 0.02, 0.04, 0.08, 0.12, 0.2, 0.3, 0.5):
        instance = here.start(revision(image, ports=PORTS))
        await asyncio.sleep(seconds)
        await instance.stop()
        assert containers() == []


async def test_the_sweep_removes_what_was_left_behind(here: Nursery, image: str) -> None:
    label = f"{LABEL}={OWNER}"
    others = f"{LABEL}={OWNER}-other"
    script = ["--entrypoint", "/bin/sh", image, "-c", "trap '' TERM; sleep 1000"]
    instance = here.start(revision(image, ports=PORTS))
    await until(lambda: instance.ready, 20)
    left = engine("create", "--label", label, *script)
    other = engine("create", "--label", others, *script)
    try:
        assert len(containers()) == 2
        await Containers(here.engines, OWNER).sweep()
        assert containers() == []
        assert (
            engine("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={others}") == other
        )
        assert left != other
    finally:
        engine("rm", "--force", other)

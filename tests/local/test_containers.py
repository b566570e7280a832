"""Instances as containers of the engine of this machine."""

import asyncio
import json
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from maxcloud import oci
from maxcloud_local.instances.containers import LABEL, Containers
from maxcloud_local.instances.engines import Engine, Engines
from maxcloud_local.instances.images import app as local_images
from maxcloud_local.instances.instances import Failure, Instance
from tests.journeys import images
from tests.local.backend import container_engine
from tests.local.nursery import Nursery, get, nursery, revision, variables
from tests.local.standins import until

ENGINE = container_engine()

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        ENGINE is None,
        reason="no container engine answers on this machine: install Podman or Docker",
    ),
]

# What only these tests started, so that they may look for leftovers.
OWNER = f"test-{uuid.uuid4().hex[:8]}"

PORTS = [{"containerPort": 8080}]
TCP = {"tcpSocket": {"port": 0}, "periodSeconds": 1}


def engine(*arguments: str) -> str:
    assert ENGINE is not None
    done = subprocess.run([ENGINE, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def containers() -> list[str]:
    """Return what is there of these tests' containers."""
    return engine("ps", "--all", "--quiet", "--filter", f"label={LABEL}={OWNER}").split()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of these tests' own, as a build leaves it: localhost/….

    It answers "version …" and shows its environment at /cgi-bin/env.
    """
    archive = tmp_path_factory.mktemp("image") / "web.tar"
    images.web(archive, page=f"version {OWNER}")
    loaded = engine("load", "--input", str(archive)).rpartition(" ")[2]
    reference = f"localhost/maxcloud-tests/{OWNER}"
    engine("tag", loaded, reference)
    yield reference
    engine("rmi", reference)
    assert containers() == []


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Nursery]:
    async with nursery(tmp_path, OWNER) as made:
        yield made
    assert containers() == []


def shell(image: str, script: str, **container: Any) -> Any:
    """Return a revision that runs a script."""
    return revision(image, command=["/bin/sh", "-c"], args=[script], **container)


def limits(**values: str) -> dict[str, Any]:
    return {"resources": {"limits": values}}


async def engine_of(here: Nursery) -> Engine:
    found = await here.engines.find()
    assert found is not None
    return found


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


async def test_a_crash(here: Nursery, image: str) -> None:
    instance = here.start(shell(image, "echo no DATABASE_URL; echo giving up >&2; exit 3"))
    await until(lambda: instance.failure, 20)
    assert instance.failure is not None
    assert instance.failure.reason == "ExitCode3"
    assert sorted(instance.failure.message.splitlines()) == ["giving up", "no DATABASE_URL"]
    assert instance.gave_up
    streams = {line.text: line.stream for line in here.log(instance).last(10)}
    assert streams == {"no DATABASE_URL": "stdout", "giving up": "stderr"}
    assert containers() == []


@pytest.mark.parametrize(
    ("command", "reason", "words"),
    [
        (["/nosuch"], "ExitCode127", "/nosuch"),
        (["/www"], "ExitCode126", "/www"),
        (["/bin/sh", "-c", "exit 127"], "ExitCode127", ""),
    ],
)
async def test_what_cannot_be_started(
    here: Nursery, image: str, command: list[str], reason: str, words: str
) -> None:
    instance = here.start(revision(image, command=command))
    await until(lambda: instance.failure, 20)
    assert instance.failure is not None
    assert instance.failure.reason == reason
    assert words in instance.failure.message
    ended = here.container(instance)["lastState"]["terminated"]
    assert ended["reason"] == ("ContainerCannotRun" if words else "Error")


async def test_too_much_memory(here: Nursery, image: str) -> None:
    if not (await engine_of(here)).limits_memory:
        pytest.skip("this container engine cannot limit memory")
    script = "echo begin; exec /bin/busybox tail /dev/zero"
    instance = here.start(shell(image, script, **limits(memory="32Mi")))
    await until(lambda: instance.failure, 30)
    assert instance.failure == Failure(
        "OOMKilled", "the container needed more memory than it may have"
    )
    ended = here.container(instance)["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


async def test_it_may_have_what_its_revision_says(here: Nursery, image: str) -> None:
    found = await engine_of(here)
    instance = here.start(revision(image, ports=PORTS, **limits(memory="64Mi", cpu="250m")))
    await until(lambda: instance.ready, 20)
    [running] = containers()
    settings = json.loads(engine("inspect", running))[0]["HostConfig"]
    assert settings["Memory"] == (64 * 2**20 if found.limits_memory else 0)
    assert settings["NanoCpus"] == (250_000_000 if found.limits_cpu else 0)


async def test_nothing_answers_on_the_port(here: Nursery, image: str) -> None:
    instance = here.start(
        shell(image, "trap 'exit 0' TERM; echo up; sleep 1000 & wait", ports=PORTS)
    )
    await until(lambda: "up" in here.output(instance), 20)
    await until(lambda: "running" in here.container(instance)["state"])
    assert not instance.ready
    assert instance.failure is None


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


@pytest.mark.parametrize(
    "missing",
    [
        "localhost/maxcloud-tests/nosuch",
        f"localhost/maxcloud-tests/nosuch@sha256:{'0' * 64}",
        f"127.0.0.1:1/nosuch@sha256:{'0' * 64}",
        "--privileged",
    ],
)
async def test_an_image_that_is_not_there(here: Nursery, missing: str) -> None:
    instance = here.start(revision(missing))
    await until(lambda: instance.failure, 60)
    assert instance.failure is not None
    assert instance.failure.reason == "ErrImagePull"
    assert instance.failure.message
    assert "\n" not in instance.failure.message
    assert instance.gave_up
    assert here.container(instance)["state"]["waiting"]["reason"] == "ImagePullBackOff"
    assert here.pod(instance)["status"]["phase"] == "Pending"


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


async def test_without_an_engine(
    here: Nursery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert await Engines().find() is None
        instance = here.start(revision("docker.io/library/nginx:1.29"))
        await until(lambda: instance.failure)
    assert instance.failure == Failure(
        "NoContainerEngine",
        "docker.io/library/nginx:1.29 needs a container engine, and none answers on this machine: "
        "install Podman (podman.io) or Docker, then deploy again",
    )
    assert instance.gave_up

"""Why a container does not start or does not go on."""

from pathlib import Path

import pytest

from maxcloud_local.instances.engines import Engines
from maxcloud_local.instances.instances import Failure
from tests.local.containers.machine import NEEDS_ENGINE, PORTS, containers, engine_of, limits, shell
from tests.local.nursery import Nursery, revision
from tests.local.standins import until

pytestmark = [pytest.mark.anyio, NEEDS_ENGINE]


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


async def test_nothing_answers_on_the_port(here: Nursery, image: str) -> None:
    instance = here.start(
        shell(image, "trap 'exit 0' TERM; echo up; sleep 1000 & wait", ports=PORTS)
    )
    await until(lambda: "up" in here.output(instance), 20)
    await until(lambda: "running" in here.container(instance)["state"])
    assert not instance.ready
    assert instance.failure is None


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

"""Which revisions are processes of this machine, with which environment, and how they end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from maxcloud_local.instances.running import Job
from maxcloud_local.kinds import SECRET, SERVICE_ACCOUNT
from tests.local.nursery import SAMPLE, Nursery, get, nursery, revision, variables
from tests.local.standins import until

pytestmark = pytest.mark.anyio

# What a tenant must not be able to do to a process of this machine.
HOSTILE = {
    "LD_PRELOAD": "/nowhere/evil.so",
    "PYTHONPATH": "/nowhere",
    "PYTHONSTARTUP": "/nowhere/evil.py",
    "PYTHONHOME": "/nowhere",
    "PATH": "/nowhere",
    "HOST": "::",
    "TARGET": 'y\'all $(K_SERVICE)\n"ü"',
}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Nursery]:
    async with nursery(tmp_path) as made:
        yield made


def process_of(port_of: str) -> psutil.Process:
    """Return the child that listens on the port of an address."""
    port = int(port_of.rpartition(":")[2])
    return next(
        child
        for child in psutil.Process().children()
        if port in {each.laddr.port for each in child.net_connections("inet")}
    )


@pytest.mark.parametrize(
    ("namespace", "image", "expected"),
    [
        ("mc-system", "maxcloud", True),
        ("default", "maxcloud", False),
        ("mc-system", "maxcloud:evil", False),
        ("mc-system", "nginx", False),
        ("default", "maxcloud.local/hello", True),
        ("default", "maxcloud.local/hello:1", True),
        ("default", f"maxcloud.local/hello@sha256:{'0' * 64}", True),
        ("default", "MAXCLOUD.local/hello", True),
        # These are refused as processes, and never pulled.
        ("default", "maxcloud.local/other", True),
        ("default", "maxcloud.local/hello/deeper", True),
        ("default", "docker.io/maxcloud.local/hello", False),
        ("default", "maxcloud.local.example.com/hello", False),
        ("default", "localhost/maxcloud.local/hello", False),
        ("default", "hello", False),
    ],
)
def test_what_is_a_process(tmp_path: Path, namespace: str, image: str, expected: bool) -> None:
    job = Job(namespace, "pod", {"image": image}, {}, has_token=False)
    assert Nursery(tmp_path, "test").processes.has(job) is expected


async def test_a_tenants_variables_stay_data(here: Nursery) -> None:
    instance = here.start(revision(SAMPLE, env=variables(HOSTILE)))
    await until(lambda: instance.ready)
    process = process_of(instance.address)
    environ = process.environ()
    assert {name for name in environ if not name.startswith("LC_")} <= {
        *("PATH", "HOME", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("HOSTNAME", "HOST", "PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"),
        "MAXCLOUD_SAMPLE_ENV",
    }
    assert environ["PATH"] == os.environ["PATH"]
    assert environ["HOSTNAME"] == instance.pod
    [listening] = [
        each.laddr for each in process.net_connections("inet") if each.status == "LISTEN"
    ]
    assert listening.ip == "127.0.0.1"
    assert not any("/nowhere" in argument for argument in process.cmdline())
    assert json.loads(environ["MAXCLOUD_SAMPLE_ENV"])["LD_PRELOAD"] == "/nowhere/evil.so"
    # $(K_SERVICE) stays: Knative puts its own variables behind those of the service.
    assert f"Hello {HOSTILE['TARGET']}\n" in (await get(instance)).text


@pytest.mark.parametrize("field", ["command", "args"])
async def test_the_sample_runs_nothing_else(here: Nursery, field: str, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    made = revision(SAMPLE)
    made["spec"]["containers"][0][field] = ["/bin/touch", str(mark)]
    instance = here.start(made)
    await until(lambda: instance.failure)
    assert instance.failure is not None
    assert instance.failure.reason == "CreateContainerError"
    assert "without a command" in instance.failure.message
    assert instance.gave_up
    assert not mark.exists()


async def test_there_is_one_sample(here: Nursery) -> None:
    instance = here.start(revision("maxcloud.local/other"))
    await until(lambda: instance.failure)
    assert instance.failure is not None
    assert instance.failure.reason == "ErrImagePull"
    assert "maxcloud.local/hello" in instance.failure.message
    waiting = here.container(instance)["state"]["waiting"]
    assert waiting == {"reason": "ImagePullBackOff", "message": instance.failure.message}


PRINTS = "import json, os\nprint(json.dumps(dict(os.environ)), flush=True)\nos._exit(1)\n"


async def test_a_functions_environment(
    here: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of who starts the engine")
    (tmp_path / "fn.py").write_text(PRINTS, encoding="utf-8")
    accounts: tuple[tuple[str, Any], ...] = (
        ("reconcile", {}),
        ("function", {"automountServiceAccountToken": False}),
    )
    for name, settings in accounts:
        metadata = {"name": name, "namespace": "mc-system"}
        here.store.create(SERVICE_ACCOUNT, {"metadata": metadata, **settings})
    metadata = {"name": "database", "namespace": "mc-system"}
    here.store.create(SECRET, {"metadata": metadata, "data": {"url": "cG9zdGdyZXNxbDovL3g="}})
    env = [
        *variables({"FUNCTION_TARGET": "fn", "DEV_MODE": "1", "MAXCLOUD_DOMAIN": "localhost"}),
        {"name": "K_SINK", "value": "http://inside/mc-system/maxcloud"},
        {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "database", "key": "url"}}},
    ]

    async def printed(**spec: Any) -> dict[str, str]:
        instance = here.start(
            revision("maxcloud", name="fn", namespace="mc-system", env=env, spec=spec)
        )
        await until(lambda: here.log(instance).last(1))
        said: dict[str, str] = json.loads(here.log(instance).last(1)[0].text)
        return said

    seen = await printed(serviceAccountName="reconcile")
    assert seen["FUNCTION_TARGET"] == "fn"
    assert seen["FUNCTION_SOURCE"] == str(tmp_path / "fn.py")
    assert seen["K_SINK"] == "http://127.0.0.1:7/mc-system/maxcloud"
    assert seen["DATABASE_URL"] == "postgresql://x"
    assert seen["KUBECONFIG"] == str(tmp_path / "kubeconfig")
    assert seen["HOST"] == "127.0.0.1"
    assert (seen["K_SERVICE"], seen["K_REVISION"]) == ("fn", "fn-00001")
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert "KUBECONFIG" not in await printed(serviceAccountName="function")
    assert "KUBECONFIG" not in await printed(serviceAccountName="nobody")
    no_token = {"serviceAccountName": "reconcile", "automountServiceAccountToken": False}
    assert "KUBECONFIG" not in await printed(**no_token)


# A stand-in for the engine: starts a sample and a function that hears nothing, and is killed.
ENGINE = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.local.nursery import nursery, revision, variables
from tests.local.standins import until

async def main():
    async with nursery(Path(sys.argv[2])) as here:
        env = variables({"FUNCTION_TARGET": "fn", "DATABASE_URL": "postgresql://x"})
        env += variables({"DEV_MODE": "1", "MAXCLOUD_DOMAIN": "localhost"})
        deaf = here.start(revision("maxcloud", namespace="mc-system", env=env))
        sample = here.start(revision("maxcloud.local/hello"))
        await until(lambda: sample.ready and "deaf" in here.output(deaf))
        print("started", flush=True)
        await asyncio.sleep(100)

asyncio.run(main())
"""


def test_nothing_outlives_an_engine_that_is_killed(tmp_path: Path) -> None:
    source = (
        "import signal, time\nfor s in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):\n"
        "    signal.signal(s, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(100)\n"
    )
    (tmp_path / "fn.py").write_text(source, encoding="utf-8")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", ENGINE, str(root), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline() == "started\n"
        children = psutil.Process(engine.pid).children(recursive=True)
        assert len(children) == 2
        engine.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


async def test_each_instance_has_its_own_port(here: Nursery) -> None:
    instances = [here.start(revision(SAMPLE)) for _ in range(6)]
    await until(lambda: all(instance.ready for instance in instances), 20)
    pages = await asyncio.gather(*(get(instance) for instance in instances))
    for instance, page in zip(instances, pages, strict=True):
        assert instance.pod in page.text

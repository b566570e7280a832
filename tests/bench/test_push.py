"""`maxcloud push` of 500 MB in ten layers beside `skopeo copy` of the same, in turns.

Skopeo remembers what it has packed for a registry, so every run has a registry of its own, empty.
"""

import contextlib
import io
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from maxcloud import registry as signing
from maxcloud.http import Api
from tests.bench.figures import Table, compared
from tests.bench.report import Section
from tests.cli.conftest import MAXCLOUD, against
from tests.conftest import TestDatabase
from tests.distribution import Distribution, distribution
from tests.functions.people import Organisation, installation
from tests.ports import free_port
from tests.pushing import made

ROUNDS, LAYERS, LAYER_BYTES = 5, 10, 50_000_000

SKOPEO, FIRST, AGAIN = "`skopeo copy`", "`maxcloud push`", "`maxcloud push` once more"

ABOUT = """\
Seconds for an image of ten layers of 50 MB: a `docker save` archive of plain layers of real files,
which have to be packed, and an OCI layout of packed ones. Each goes into an empty registry; *once
more* finds everything there. The last table is the medians of the processor's seconds, and the most
memory of one run."""

SECRET = "r" * 32


@dataclass(frozen=True)
class Run:
    """What a program took: seconds, seconds of the processor, and memory at its most."""

    seconds: float
    processor: float
    megabytes: float


# A process begins with the memory of the one that forked it, so a small one stands in between.
LAUNCHER = """
import json, os, resource, sys, time
start = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(pid, 0)
seconds = time.perf_counter() - start
print(json.dumps([status, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000]))
"""


def measured(words: list[str], env: dict[str, str]) -> Run:
    launch = [sys.executable, "-c", LAUNCHER, *words]
    done = subprocess.run(launch, env=env, stdout=subprocess.PIPE, check=True)
    status, *figures = json.loads(done.stdout.splitlines()[-1])
    assert status == 0, words
    return Run(*figures)


def real_files() -> Iterator[bytes]:
    """What images are made of: programs, libraries, sources."""
    for root in (Path(sys.base_prefix), Path("/usr/lib"), Path("/usr/share")):
        for file in sorted(root.rglob("*")):
            if file.is_file() and not file.is_symlink() and file.stat().st_size < LAYER_BYTES:
                yield file.read_bytes()


def docker_archive(folder: Path) -> Path:
    """Write ten plain layers of real files, as `docker save` does."""
    files = itertools.cycle(real_files())
    layers = []
    for number in range(LAYERS):
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w") as tar:
            while tar.offset < LAYER_BYTES:
                made.add(tar, f"{number}/{tar.offset}", next(files))
        layers.append(whole.getvalue())
    return made.docker_archive(folder / "image.tar", *layers)


def oci(folder: Path) -> Path:
    """Write ten layers that are packed to 50 MB each."""
    layers = [made.layer(f"{number}", 2 * LAYER_BYTES) for number in range(LAYERS)]
    return made.oci_layout(folder / "layout", *layers)


@contextlib.contextmanager
def empty_registry(folder: Path, jwks: Path, url: str, host: str) -> Iterator[Distribution]:
    token: dict[str, object] = {"realm": f"{url}/api/v1/registry/token", "service": host}
    token |= {"issuer": signing.ISSUER, "jwks": str(jwks), "signingalgorithms": ["ES256"]}
    folder.mkdir()
    with distribution(folder, {"token": token}, int(host.partition(":")[2])) as running:
        yield running


def test_push(
    database: TestDatabase,
    apis: dict[str, Api],
    tmp_path: Path,
    show: Callable[[Section], None],
) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    (tmp_path / "jwks.json").write_text(json.dumps(signing.jwks([SECRET])))
    tables, used = [], []
    for write in (docker_archive, oci):
        form = write.__name__.replace("_", "-")
        source = f"{form}:{write(tmp_path)}"
        runs = pushed(source, database, apis, tmp_path)
        seconds = {kind: [run.seconds for run in each] for kind, each in runs.items()}
        tables.append(compared(f"s, {form}", seconds, [SKOPEO], digits=2))
        for kind, each in runs.items():
            processor = statistics.median(run.processor for run in each)
            memory = max(run.megabytes for run in each)
            used.append([f"{kind}, {form}", f"{processor:.2f}", f"{memory:.0f}"])
    tables.append(Table(["", "processor s", "MB of memory"], used))
    show(Section("Pushing an image", ABOUT, tables))


def pushed(
    source: str, database: TestDatabase, apis: dict[str, Api], folder: Path
) -> dict[str, list[Run]]:
    """Push with both, each into an empty registry, and with ours once more into the same."""
    runs: dict[str, list[Run]] = {SKOPEO: [], FIRST: [], AGAIN: []}
    path = source.partition(":")[2]
    for number in range(ROUNDS):
        host = f"127.0.0.1:{free_port()}"
        changes = {"registry_secrets": (SECRET,), "registry_url": host}
        with installation(apis, database, **changes) as url:
            org = Organisation(database)
            key = org.key()
            env = against(url).env | {"MAXCLOUD_API_KEY": key, "HOME": str(Path.home())}
            push = [str(MAXCLOUD), "push", path, "--name", "shop", "--tag", "v1", "-q"]
            copy = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", source]
            copy += [f"--dest-creds=key:{key}", f"docker://{host}/{org.id}/shop:v1"]
            for kind, words in ((SKOPEO, copy), (FIRST, push)):
                data = folder / f"{source.partition(':')[0]}-{kind.strip('`').split()[0]}-{number}"
                with empty_registry(data, folder / "jwks.json", url, host):
                    runs[kind].append(measured(words, env))
                    if kind == FIRST:
                        runs[AGAIN].append(measured(words, env))
    return runs

"""`maxcloud push` of 500 MB in ten layers beside `skopeo copy` of the same, in turns.

Skopeo remembers what it has packed for a registry, so every run has a registry of its own, empty.
"""

import contextlib
import io
import itertools
import json
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
from tests.cli.conftest import MAXCLOUD, against
from tests.conftest import TestDatabase
from tests.distribution import Distribution, distribution
from tests.functions.people import Organisation, installation
from tests.ports import free_port
from tests.pushing import made

ROUNDS, LAYERS, LAYER_BYTES = 5, 10, 50_000_000
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


@pytest.mark.parametrize("write", [docker_archive, oci])
def test_push_beside_skopeo(
    write: Callable[[Path], Path], database: TestDatabase, apis: dict[str, Api], tmp_path: Path
) -> None:
    form, source = write.__name__.replace("_", "-"), write(tmp_path)
    size = source.stat().st_size if source.is_file() else 0
    size = size or sum(each.stat().st_size for each in source.rglob("*"))
    runs: dict[str, list[Run]] = {"skopeo": [], "maxcloud": [], "again": []}
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps(signing.jwks([SECRET])))
    for number in range(ROUNDS):
        host = f"127.0.0.1:{free_port()}"
        changes = {"registry_secrets": (SECRET,), "registry_url": host}
        with installation(apis, database, **changes) as url:
            org = Organisation(database)
            key = org.key()
            env = against(url).env | {"MAXCLOUD_API_KEY": key, "HOME": str(Path.home())}
            push = [str(MAXCLOUD), "push", str(source), "--name", "shop", "--tag", "v1", "-q"]
            copy = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"{form}:{source}"]
            copy += [f"--dest-creds=key:{key}", f"docker://{host}/{org.id}/shop:v1"]
            for kind, words in (("skopeo", copy), ("maxcloud", push)):
                folder = tmp_path / f"{kind}-{number}"
                with empty_registry(folder, jwks, url, host):
                    runs[kind].append(measured(words, env))
                    if kind == "maxcloud":
                        runs["again"].append(measured(words, env))
    middle = {kind: statistics.median(run.seconds for run in each) for kind, each in runs.items()}
    print(f"\npush of {size / 1e6:.0f} MB ({form}), median of {ROUNDS} in turns:")
    for kind, each in runs.items():
        processor = statistics.median(run.processor for run in each)
        memory = max(run.megabytes for run in each)
        print(f"  {kind:<9} {middle[kind]:6.2f} s  {processor:5.2f} s CPU  {memory:4.0f} MB")
    print(f"  maxcloud / skopeo: {middle['maxcloud'] / middle['skopeo']:.2f}")

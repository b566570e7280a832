"""cd.yml's step that brings the platform to an image, run on the cluster as GitHub runs it.

It is the command of the file with its variables. Another one prints the manifests, the overlay of
this cluster, and the API is the gateway's: tests/knative/test_tls.py has TLS, and
tests/hetzner/test_cd.py the steps before.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import images
from tests.cluster.environment import GATEWAY, KUBECONFIG, STATE
from tests.cluster.install import environment as of_this_cluster
from tests.cluster.install import manifests
from tests.journeys.platform import Platform
from tests.knative.test_operators import operate, status
from tests.workflows import carry_out, environment, steps

# It brings other images under all others, and the usual one back.
pytestmark = pytest.mark.last

STEP = "The platform, or the image before"

# What prints the manifests there, and here.
PRODUCTIONS = "python -m maxcloud_hetzner manifests"
OVERLAY = (
    "import os; from tests.cluster.install import manifests;"
    " print(manifests(os.environ['MAXCLOUD_IMAGE']))"
)
MANIFESTS = shlex.join([sys.executable, "-c", OVERLAY])

NEWER, BROKEN, UNWELL = (f"dev.local/maxcloud:{name}" for name in ("newer", "broken", "unwell"))

# What each image has instead of the usual one's. The jobs that migrate and look have a command of
# their own, so they go on with any.
CHANGES = {
    NEWER: "ENV MAXCLOUD_COMMIT=newer",
    BROKEN: 'CMD ["/bin/sh", "-c", "echo no such module; exit 3"]',
    # Every function is ready, and none finds the database.
    UNWELL: 'CMD ["env", "PGHOSTADDR=127.0.0.1", "/venv/bin/python", "-m", "maxcloud.runtime"]',
}


def roll_out(image: str, url: str = GATEWAY, **changed: str) -> subprocess.CompletedProcess[str]:
    """Carry the step out for an image; what it says and how long it takes is shown."""
    [step] = [each for each in steps("cd", "deploy") if each.name == STEP]
    command = step.command
    for theirs, ours in (("https://api.$DNS_ZONE", url), (PRODUCTIONS, MANIFESTS)):
        assert command.count(theirs) == 1
        command = command.replace(theirs, ours)
    known = {"needs.images.outputs.image": image}
    path = [str(Path(sys.executable).parent), str(STATE / "bin"), os.environ["PATH"]]
    machine = {"PATH": ":".join(path), "HOME": os.environ["HOME"], "KUBECONFIG": str(KUBECONFIG)}
    start = time.monotonic()
    done = carry_out(command, environment(step, known) | machine | changed)
    print(f"{image}: exit code {done.returncode} after {time.monotonic() - start:.0f} s")
    print(done.stdout + done.stderr)
    return done


def running() -> str:
    """The image of all functions; the platform must be well."""
    [image] = {each["image"] for each in status()["functions"]}
    return str(image)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image that runs here; whatever happens, it returns."""
    image = running()
    yield image
    overlay = tmp_path_factory.mktemp("usual") / "overlay.yaml"
    overlay.write_text(manifests(image), encoding="utf-8")
    operate("install", "--manifests", str(overlay), env=of_this_cluster())


@pytest.fixture
def image(request: pytest.FixtureRequest, usual: str, tmp_path: Path) -> str:
    """An image that is on the node, made of the usual one."""
    made: str = request.param
    (tmp_path / "Dockerfile").write_text(f"FROM {usual}\n{CHANGES[made]}\n")
    images.build_image(made, tmp_path / "Dockerfile", tmp_path)
    return made


def commit(platform: Platform) -> str:
    return str(platform.api("GET", "/api/v1/version").json()["commit"])


@pytest.mark.parametrize("image", [NEWER], indirect=True)
def test_a_newer_image_comes(platform: Platform, image: str) -> None:
    done = roll_out(image)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == f"{image} runs at {GATEWAY}"
    assert running() == image
    assert platform.api("GET", "/readyz").status_code == 200
    assert commit(platform) == "newer"


SAYING = {
    BROKEN: "user-container ended with exit code 3",
    UNWELL: "The requested URL returned error: 503",
}


@pytest.mark.parametrize("image", SAYING, indirect=True)
def test_instead_of_a_bad_one_the_image_before_is_back(platform: Platform, image: str) -> None:
    before, then = running(), commit(platform)
    # A quarter of the time that it has in production.
    done = roll_out(image, PATIENCE="15")
    assert done.returncode == 1
    assert SAYING[image] in done.stderr
    assert done.stderr.splitlines()[-1] == f"Error: {image} is not well; {before} runs again"
    assert running() == before
    assert platform.api("GET", "/readyz").status_code == 200
    assert commit(platform) == then


def test_without_an_image_before_it_says_so(usual: str) -> None:
    # It is the one that runs already, asked for where nobody answers.
    image = running()
    done = roll_out(image, url="http://localhost:1", PATIENCE="1")
    assert done.returncode == 3
    said = f"Error: {image} is not well, and there is no image before it"
    assert done.stderr.splitlines()[-1] == said

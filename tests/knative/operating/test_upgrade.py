"""Another version of the platform under traffic: nobody's service notices, and nor does the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import images
from tests.cluster.install import environment, manifests
from tests.journeys.platform import Platform
from tests.knative.operating.load import asked
from tests.knative.operating.support import installed_image
from tests.knative.test_operators import operate, status

# It brings other versions under all others, and the usual one back.
pytestmark = pytest.mark.last

NEXT = "dev.local/maxcloud:next"

Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """Installs the overlay with an image; whatever happens, the usual one returns."""
    usual = installed_image()

    def run(
        image: str = usual, change: Callable[[dict[str, Any]], None] | None = None, code: int = 0
    ) -> str:
        objects = list(yaml.safe_load_all(manifests(image)))
        for each in objects:
            if change is not None and each["apiVersion"] == "serving.knative.dev/v1":
                change(each)
        file = tmp_path / "overlay.yaml"
        file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        return operate("install", "--manifests", str(file), code=code, err=True, env=environment())

    yield run
    run()


def build_next(usual: str, folder: Path) -> None:
    """Build an image that differs in what it says of itself.

    Buildah takes layers for the same that differ only in a build argument.
    """
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(f"FROM {usual}\nENV MAXCLOUD_COMMIT=next\n", encoding="utf-8")
    images.build_image(NEXT, dockerfile, folder)


def test_a_version_comes_and_goes_under_traffic(
    platform: Platform, name: str, web: tuple[str, str], install: Install, tmp_path: Path
) -> None:
    usual = installed_image()
    build_next(usual, tmp_path)
    url = platform.maxcloud("deploy", web[0], "--name", name).out.strip()
    host = url.removeprefix("http://")
    before = platform.api("GET", "/api/v1/version").json()["commit"]
    with (
        asked("/", host, 20) as tenants,
        asked("/api/v1/services", "localhost", 3) as services,
        asked("/api/v1/version", "localhost", 2) as versions,
        ThreadPoolExecutor(max_workers=1) as operator,
    ):
        for image, commit in ((NEXT, "next"), (usual, before)):
            upgrade = operator.submit(install, image)
            # Somebody deploys in the middle of it.
            platform.maxcloud("deploy", "--name", name, "--env", f"UNDER={commit}")
            upgrade.result()
            assert platform.api("GET", "/api/v1/version").json()["commit"] == commit
    print(f"tenants: {tenants}\n/services: {services}\n/version: {versions}")
    assert {*tenants.counts} == {"200"}
    assert {*services.counts, *versions.counts} == {"200"}


def test_a_version_that_does_not_start_leaves_the_one_before_serving(
    platform: Platform, install: Install
) -> None:
    def never_ready(function: dict[str, Any]) -> None:
        if function["metadata"]["name"] == "services":
            [container] = function["spec"]["template"]["spec"]["containers"]
            container["command"] = ["/bin/sh", "-c", "echo no such module; exit 3"]

    [before] = [each for each in status()["functions"] if each["name"] == "services"]
    with asked("/api/v1/services", "localhost", 5) as answers:
        said = install(change=never_ready, code=1)
    assert "Service services failed: user-container ended with exit code 3" in said
    assert f"{before['revision']} still serves" in said
    print(f"{said.splitlines()[-2]}\n/services: {answers}")
    assert {*answers.counts} == {"200"}

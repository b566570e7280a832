"""What goes wrong, as a user reads it."""

from pathlib import Path

import pytest

from tests.journeys import images
from tests.journeys.platform import Deploying, Platform


def test_an_unknown_image(platform: Platform, name: str, web: str) -> None:
    missing = web.replace(":latest", ":nosuch")
    failed = platform.maxcloud("deploy", missing, "--name", name, code=1)
    assert "ImageNotFound" in failed.err
    assert f"{missing} does not exist" in failed.err
    assert "Hint:" in failed.err
    shown = platform.maxcloud("describe", name, "-o", "json").json
    assert (shown["status"], shown["reason"]) == ("failed", "ImageNotFound")

    # It is mended by deploying what exists.
    platform.maxcloud("deploy", web, "--name", name)


def test_a_container_that_stops_at_once(platform: Platform, name: str, tmp_path: Path) -> None:
    crash = ("/bin/sh", "-c", "echo no DATABASE_URL; echo giving up; exit 3")
    archive = images.web(tmp_path / "crash.tar", page="", command=crash)
    image = platform.backend.push(archive, name)
    failed = platform.maxcloud("deploy", image, "--name", name, code=1)
    assert "ExitCode3" in failed.err
    assert "exit code 3" in failed.err
    assert "no DATABASE_URL" in failed.err
    assert "giving up" in failed.err


@pytest.mark.last
def test_a_container_that_does_not_listen(deaf: Deploying) -> None:
    failed = deaf.done()
    assert failed.code == 1, failed
    assert "NotListening" in failed.err
    assert "nothing answered on port 8080" in failed.err
    assert "--port" in failed.err


def test_a_failed_deploy_leaves_the_old_revision_serving(
    platform: Platform, name: str, web: str
) -> None:
    url = platform.maxcloud("deploy", web, "--name", name).out.strip()
    broken = ("--command", "/bin/sh", "--args", "-c,exit 7")
    failed = platform.maxcloud("deploy", "--name", name, *broken, code=1)
    assert "ExitCode7" in failed.err
    assert f"{name}-00001 still serves" in failed.err
    assert platform.get(url).text == "version 1"
    assert f"failed (serving {name}-00001)" in platform.maxcloud("list").out


def test_a_name_that_is_taken(platform: Platform, name: str, web: str) -> None:
    platform.maxcloud("deploy", web, "--name", name, "--no-wait")
    refused = platform.api("POST", "/api/v1/services", json={"name": name, "image": web})
    assert refused.status_code == 409
    assert refused.json()["code"] == "name_taken"
    assert refused.json()["error"] == "a service of this name exists already"
    reserved = platform.maxcloud("deploy", web, "--name", "registry", code=2)
    assert "reserved" in reserved.err

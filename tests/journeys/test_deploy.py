"""From an image to a URL, to zero and back, to the next revision, and to nothing."""

from pathlib import Path

from tests.journeys import images
from tests.journeys.platform import Platform, eventually

# Knative lets the last instance go after its window (60 s) and the instance drains.
TO_ZERO_SECONDS = 180


def test_an_image_gets_a_url_sleeps_and_wakes(platform: Platform, name: str, web: str) -> None:
    done = platform.maxcloud("deploy", web, "--name", name)
    steps = ["accepted", "image resolved", "revision created", "first instance started", "ready"]
    seconds = [done.seconds(step) for step in steps]
    assert seconds == sorted(seconds)
    url = done.out.strip()
    assert url == platform.url(name)
    assert platform.get(url).text == "version 1"

    listed = platform.maxcloud("list", "-o", "json").json
    assert [(s["status"], s["url"]) for s in listed if s["name"] == name] == [("ready", url)]
    # The image's own EXPOSE, as root: nothing was said of a port.
    assert "PORT=80\n" in platform.get(f"{url}/cgi-bin/env").text

    eventually(
        "instances", lambda: platform.backend.instances(name), TO_ZERO_SECONDS, lambda n: n == 0
    )
    woken = platform.get(url)
    assert (woken.status_code, woken.text) == (200, "version 1")
    assert platform.backend.instances(name) == 1


def test_settings_take_effect(platform: Platform, name: str, web: str) -> None:
    url = platform.maxcloud("deploy", web, "--name", name, "--port", "8081").out.strip()
    assert "PORT=8081\n" in platform.get(f"{url}/cgi-bin/env").text

    environment = ("--env", "GREETING=hello there", "--env", "COUNT=2")
    platform.maxcloud("deploy", "--name", name, *environment)
    seen = platform.get(f"{url}/cgi-bin/env").text
    assert "GREETING=hello there\n" in seen
    assert "COUNT=2\n" in seen
    assert "PORT=8081\n" in seen  # what was not said stays

    platform.maxcloud("deploy", "--name", name, "--remove-env", "COUNT")
    seen = platform.get(f"{url}/cgi-bin/env").text
    assert "GREETING=hello there\n" in seen
    assert "COUNT=" not in seen

    httpd = ("--command", "/bin/busybox,httpd", "--args", "-f,-p,8081", "--args", "-h,/other")
    platform.maxcloud("deploy", "--name", name, *httpd)
    assert platform.get(url).text == "another folder"

    described = platform.maxcloud("describe", name, "-o", "json").json
    assert described["command"] == ["/bin/busybox", "httpd"]
    assert described["args"] == ["-f", "-p", "8081", "-h", "/other"]
    assert described["env_vars"] == {"GREETING": "hello there"}
    revisions = platform.api("GET", f"/api/v1/services/{name}/revisions").json()
    assert [r["name"] for r in revisions] == [f"{name}-{n:05d}" for n in (4, 3, 2, 1)]
    assert [r["traffic"] for r in revisions] == [100, 0, 0, 0]


def test_only_a_changed_image_makes_a_revision(
    platform: Platform, name: str, web: str, tmp_path: Path
) -> None:
    url = platform.maxcloud("deploy", web, "--name", name).out.strip()
    again = platform.maxcloud("deploy", web, "--name", name)
    assert f"unchanged: {name}-00001 still serves" in again.err

    platform.backend.push(images.web(tmp_path / "2.tar", page="version 2"), name)
    platform.maxcloud("deploy", web, "--name", name)
    assert platform.get(url).text == "version 2"
    described = platform.maxcloud("describe", name, "-o", "json").json
    assert described["ready_revision"] == described["latest_revision"] == f"{name}-00003"
    revisions = platform.api("GET", f"/api/v1/services/{name}/revisions").json()
    assert [r["name"] for r in revisions] == [f"{name}-00003", f"{name}-00001"]
    assert len({r["digest"] for r in revisions}) == 2


def test_a_deleted_service_leaves_nothing(platform: Platform, name: str, web: str) -> None:
    url = platform.maxcloud("deploy", web, "--name", name).out.strip()
    assert f"deleted {name}" in platform.maxcloud("delete", name, "--yes").out
    assert platform.api("GET", f"/api/v1/services/{name}").status_code == 404
    assert name not in platform.maxcloud("list").out
    # The gateway hears of it when Kubernetes has cleaned up after the service.
    eventually("the route", lambda: platform.get(url).status_code, 60, lambda code: code == 404)
    eventually("objects", lambda: platform.backend.left_behind(name), 90, lambda left: left == [])

    # The name is still this organisation's, and revisions go on counting.
    platform.maxcloud("deploy", web, "--name", name)
    described = platform.maxcloud("describe", name, "-o", "json").json
    assert described["latest_revision"] == f"{name}-00003"

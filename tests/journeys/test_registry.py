"""A private image from its build to its end."""

from pathlib import Path

from maxcloud.config import DEV_ORG_ID
from tests.journeys import images
from tests.journeys.platform import Platform, eventually
from tests.journeys.private import Private

IMAGES = "/api/v1/registry/images"


def test_a_private_image_is_pushed_deployed_replaced_and_deleted(
    platform: Platform, private: Private, name: str, tmp_path: Path
) -> None:
    place = f"{private.host}/{DEV_ORG_ID}/{name}"

    def build(page: str) -> Path:
        return images.web(tmp_path / f"{page}.tar", page=page)

    def listed() -> dict[str, list[str]]:
        found = platform.api("GET", IMAGES).json()
        return {each["digest"]: each["tags"] for each in found if each["name"] == name}

    first = private.push(build("one"), f"{place}:v1")
    eventually("images", listed, 30, lambda seen: seen == {first: ["v1"]})
    url = platform.maxcloud("deploy", f"{place}:v1", "--name", name).out.strip()
    assert platform.get(url).text == "one"
    kept = f"maxcloud.{name}-00001"
    eventually("images", listed, 30, lambda seen: seen == {first: [kept, "v1"]})

    pushed = platform.maxcloud("push", str(build("two")), "--name", name, "--tag", "v1", "-q")
    reference, _, second = pushed.out.strip().partition("@")
    assert reference == place
    platform.maxcloud("deploy", f"{place}:v1", "--name", name)
    assert platform.get(url).text == "two"
    described = platform.maxcloud("describe", name, "-o", "json").json
    newest = described["ready_revision"]
    assert newest == described["latest_revision"] == f"{name}-00002"
    both = {first: [kept], second: [f"maxcloud.{newest}", "v1"]}
    eventually("images", listed, 30, lambda seen: seen == both)

    refused = platform.api("DELETE", f"{IMAGES}/{name}/tags/v1")
    assert (refused.status_code, refused.json()["code"]) == (409, "image_in_use")
    assert newest in refused.json()["error"]
    assert platform.api("DELETE", f"{IMAGES}/{name}/tags/{kept}").status_code == 204
    assert set(listed()) == {second}
    assert platform.get(url).text == "two"


def test_a_folder_is_pushed_and_runs(
    platform: Platform, private: Private, name: str, tmp_path: Path
) -> None:
    folder = private.layout(images.web(tmp_path / "web.tar", page="a folder"), tmp_path / "layout")
    pushed = platform.maxcloud("push", str(folder), "--name", name)
    again = platform.maxcloud("push", str(folder), "--name", name)
    assert again.out == pushed.out
    assert "unchanged" in again.err
    url = platform.maxcloud("deploy", pushed.out.strip(), "--name", name).out.strip()
    assert platform.get(url).text == "a folder"


def test_what_is_not_there_is_said(platform: Platform, private: Private, name: str) -> None:
    failed = platform.maxcloud(
        "deploy", f"{private.host}/{DEV_ORG_ID}/{name}:none", "--name", name, code=1
    )
    assert "does not exist" in failed.err
    stranger = f"{private.host}/00000000-0000-4000-8000-0000000000ff/app:1"
    failed = platform.maxcloud("deploy", stranger, "--name", name, code=1)
    assert "does not exist" in failed.err

"""`maxcloud images`, against a scripted API."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from maxcloud_cli import output
from tests.cli.conftest import Maxcloud
from tests.cli.scripted import DIGEST, Answer, ScriptedAPI, refusal

IMAGES = "/api/v1/registry/images"


def image(name: str, *tags: str, age: timedelta = timedelta(hours=3)) -> dict[str, object]:
    made = datetime.now(UTC) - age
    described = {"name": name, "tags": list(tags), "digest": DIGEST, "size_bytes": 23_100_000}
    return {**described, "created_at": made.isoformat()}


@pytest.fixture
def two(scripted: ScriptedAPI) -> ScriptedAPI:
    following = {"Link": f'<{IMAGES}?cursor=x>; rel="next"'}
    scripted.script("GET", IMAGES, Answer(body=[image("shop", "v2", "latest")], headers=following))
    older = image("team/api", "v1", age=timedelta(days=12))
    scripted.script("GET", f"{IMAGES}?cursor=x", Answer(body=[older]))
    return scripted


def test_the_table(maxcloud: Maxcloud, two: ScriptedAPI) -> None:
    done = maxcloud("images")
    assert done.out.splitlines() == [
        "NAME      TAGS        DIGEST               SIZE     AGE",
        "shop      v2, latest  sha256:1a2b3c4d5e6f  23.1 MB  3h",
        "team/api  v1          sha256:1a2b3c4d5e6f  23.1 MB  12d",
    ]
    assert (done.code, done.err) == (0, "")


def test_for_scripts(maxcloud: Maxcloud, two: ScriptedAPI) -> None:
    assert maxcloud("images", "--quiet").out == f"shop@{DIGEST}\nteam/api@{DIGEST}\n"
    assert [each["name"] for each in json.loads(maxcloud("images", "-o", "json").out)] == [
        "shop",
        "team/api",
    ]
    assert "- name: shop\n" in maxcloud("images", "-o", "yaml").out


def test_without_images_it_says_how_to_begin(maxcloud: Maxcloud, scripted: ScriptedAPI) -> None:
    scripted.script("GET", IMAGES, Answer(body=[]))
    done = maxcloud("images")
    assert done.out == "NAME  TAGS  DIGEST  SIZE  AGE\n"
    assert done.err.startswith("No images yet.")


@pytest.mark.parametrize(
    ("name", "path"), [("shop:v1", "shop/tags/v1"), ("team/api:v2", "team/api/tags/v2")]
)
def test_a_tag_is_deleted(maxcloud: Maxcloud, scripted: ScriptedAPI, name: str, path: str) -> None:
    scripted.script("DELETE", f"{IMAGES}/{path}", Answer(204, ""))
    done = maxcloud("images", "delete", name, "--yes")
    assert (done.code, done.out) == (0, f"deleted {name}\n")
    assert maxcloud("images", "delete", name, "-y", "--quiet").out == f"{name}\n"


@pytest.mark.parametrize("name", ["shop", ":v1", "shop:", "localhost:5000/shop"])
def test_what_is_no_tag(maxcloud: Maxcloud, scripted: ScriptedAPI, name: str) -> None:
    done = maxcloud("images", "delete", name, "--yes")
    assert done.code == 2
    assert "must be NAME:TAG" in done.err
    assert scripted.asked == []


@pytest.mark.parametrize("name", ["..:v1", "a/../b:v1", "a//b:v1", "shop:.."])
def test_no_name_leads_to_another_route(
    maxcloud: Maxcloud, scripted: ScriptedAPI, name: str
) -> None:
    done = maxcloud("images", "delete", name, "--yes")
    assert done.code == 1
    assert done.err.startswith("Error: there is no ")
    assert scripted.asked == []


def test_without_a_terminal_it_does_not_ask(maxcloud: Maxcloud, scripted: ScriptedAPI) -> None:
    done = maxcloud("images", "delete", "shop:v1")
    assert done.code == 2
    assert "--yes" in done.err
    assert scripted.asked == []


def test_a_tag_that_serves_stays(maxcloud: Maxcloud, scripted: ScriptedAPI) -> None:
    said = "shop:v1 is what shop-00003 of the service shop runs"
    scripted.script("DELETE", f"{IMAGES}/shop/tags/v1", refusal(409, "image_in_use", said))
    done = maxcloud("images", "delete", "shop:v1", "--yes")
    assert done.code == 1
    assert done.err.startswith(f"Error: {said}\nHint: ")


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 kB"), (1, "1 kB"), (1500, "2 kB"), (23_100_000, "23.1 MB"), (4 * 10**9, "4.0 GB")],
)
def test_sizes(count: int, shown: str) -> None:
    assert output.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-3, "0s"), (59, "59s"), (60, "1m"), (7300, "2h"), (90_000, "1d")]
)
def test_ages(seconds: float, shown: str) -> None:
    assert output.age(seconds) == shown

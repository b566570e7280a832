"""Which revision gets the requests: rollouts, rollbacks, splits and tags."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.journeys import images
from tests.journeys.platform import Platform, eventually
from tests.pace import at_pace


@dataclass
class Visits:
    """What visitors were answered, and what went wrong."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@contextmanager
def visited(platform: Platform, url: str) -> Iterator[Visits]:
    """Ask a service twenty times a second, each time on a connection of its own."""
    visits = Visits()

    def visit() -> None:
        try:
            answer = platform.get(url)
        except httpx.HTTPError as error:
            visits.failures.append(repr(error))
            return
        if answer.status_code == 200:
            visits.answers[answer.text] += 1
        else:
            visits.failures.append(f"{answer.status_code} {answer.text}")

    with at_pace(visit, per_second=20, at_once=20):
        yield visits


def push(platform: Platform, name: str, folder: Path, page: str) -> str:
    return platform.backend.push(images.web(folder / "web.tar", page=page), name)


def test_no_request_fails_while_revisions_come_and_go(
    platform: Platform, name: str, web: str, tmp_path: Path
) -> None:
    url = platform.maxcloud("deploy", web, "--name", name).out.strip()
    with visited(platform, url) as visits:
        push(platform, name, tmp_path, "version 2")
        platform.maxcloud("deploy", web, "--name", name)
        eventually("the new", lambda: platform.get(url).text, 30, lambda page: page == "version 2")
        platform.maxcloud("rollback", name)
        eventually("the old", lambda: platform.get(url).text, 30, lambda page: page == "version 1")
        platform.maxcloud("traffic", name, f"{name}-00001=50", f"{name}-00002=50")
        time.sleep(2)  # some visits to the split
    print(f"\nvisits: {dict(visits.answers)}, failed: {len(visits.failures)}")
    assert visits.failures == []
    assert set(visits.answers) == {"version 1", "version 2"}


def test_a_split_is_kept_to_and_a_tag_has_its_url(
    platform: Platform, name: str, web: str, tmp_path: Path
) -> None:
    url = platform.maxcloud("deploy", web, "--name", name).out.strip()
    push(platform, name, tmp_path, "version 2")
    deployed = platform.maxcloud("deploy", web, "--name", name, "--no-traffic", "--tag", "next")
    assert f"the traffic stays as it is: {name}-00001 100 %" in deployed.err
    assert platform.get(url).text == "version 1"
    assert platform.get(platform.url(f"{name}--next")).text == "version 2"

    platform.maxcloud("traffic", name, f"{name}-00001=80", "latest=20")
    with ThreadPoolExecutor(10) as visitors:
        pages = Counter(visitors.map(lambda _: platform.get(url).text, range(1000)))
    print(f"\n80/20: {dict(pages)}")
    assert sum(pages.values()) == 1000
    assert 760 <= pages["version 1"] <= 840
    assert pages["version 1"] + pages["version 2"] == 1000

    revisions = platform.maxcloud("revisions", name, "-o", "json").json
    assert [(each["name"], each["traffic"]) for each in revisions] == [
        (f"{name}-00002", 20),
        (f"{name}-00001", 80),
    ]


def test_a_rollback_lasts_until_the_next_deploy(
    platform: Platform, name: str, web: str, tmp_path: Path
) -> None:
    url = platform.maxcloud("deploy", web, "--name", name).out.strip()
    push(platform, name, tmp_path, "version 2")
    platform.maxcloud("deploy", web, "--name", name)
    assert platform.get(url).text == "version 2"
    assert f"{name}-00001  100 %" in " ".join(platform.maxcloud("rollback", name).out.split("   "))
    assert platform.get(url).text == "version 1"

    push(platform, name, tmp_path, "version 3")
    platform.maxcloud("deploy", web, "--name", name)
    assert platform.get(url).text == "version 3"


def test_a_rollback_from_what_failed_is_a_success(platform: Platform, name: str, web: str) -> None:
    url = platform.maxcloud("deploy", web, "--name", name).out.strip()
    platform.maxcloud("deploy", "--name", name, "--env", "N=2")
    broken = ("--command", "/bin/sh", "--args", "-c,exit 7")
    failed = platform.maxcloud("deploy", "--name", name, *broken, code=1)
    assert f"{name}-00002 still serves" in failed.err
    platform.maxcloud("rollback", name)
    assert platform.get(url).text == "version 1"
    shown = platform.maxcloud("describe", name, "-o", "json").json
    assert (shown["status"], shown["reason"]) == ("ready", "")

    missing = web.replace(":latest", ":nosuch")
    platform.maxcloud("deploy", missing, "--name", name, code=1)
    assert platform.get(url).text == "version 1"
    platform.maxcloud("rollback", name, "--to", f"{name}-00001")
    assert platform.maxcloud("describe", name, "-o", "json").json["status"] == "ready"

    # What could never start takes no traffic, and says so.
    refused = platform.maxcloud("rollback", name, "--to", f"{name}-00003", code=1)
    assert f"{name}-00003 takes no traffic" in refused.err
    assert platform.get(url).text == "version 1"
    assert f"failed (serving {name}" in platform.maxcloud("list").out


def test_what_was_deleted_by_hand_comes_back_whole(
    platform: Platform, name: str, web: str, tmp_path: Path
) -> None:
    url = platform.maxcloud("deploy", web, "--name", name).out.strip()
    push(platform, name, tmp_path, "version 2")
    platform.maxcloud("deploy", web, "--name", name)
    platform.maxcloud("deploy", "--name", name, "--env", "N=3")
    shares = (f"{name}-00001=80", f"{name}-00002=20", "--tag", f"{name}-00002=second")
    platform.maxcloud("traffic", name, *shares)
    before = platform.api("GET", f"/api/v1/services/{name}").json()

    platform.backend.delete_behind_our_back(name)
    eventually(
        "the revisions",
        lambda: platform.backend.revisions(name),
        60,
        lambda found: found == [f"{name}-{n:05d}" for n in (1, 2, 3)],
    )
    eventually("the page", lambda: platform.get(url).status_code, 60, lambda code: code == 200)
    tagged = platform.url(f"{name}--second")
    eventually("the tag", lambda: platform.get(tagged).text, 60, lambda page: page == "version 2")
    pages = {platform.get(url).text for _ in range(40)}
    assert pages == {"version 1", "version 2"}
    after = platform.api("GET", f"/api/v1/services/{name}").json()
    assert after["traffic"] == before["traffic"]

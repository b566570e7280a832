"""Each setting of a service, and the effect that a user sees of it."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.journeys.platform import Platform, eventually


def deploy(platform: Platform, image: str, name: str, *settings: str) -> str:
    return platform.maxcloud("deploy", image, "--name", name, *settings).out.strip()


def test_concurrency_queues_and_max_holds(platform: Platform, name: str, web: str) -> None:
    url = deploy(platform, web, name, "--concurrency", "1", "--max", "1")
    with ThreadPoolExecutor(4) as clients:
        start = time.monotonic()
        answers = [clients.submit(platform.get, f"{url}/cgi-bin/sleep?1") for _ in range(4)]
        seen = [platform.backend.instances(name)]
        while not all(answer.done() for answer in answers):
            seen.append(platform.backend.instances(name))
        took = time.monotonic() - start
    assert [answer.result().text for answer in answers] == ["slept 1\n"] * 4
    assert took >= 4, "one at a time, a second each"
    assert max(seen) == 1


def test_a_request_beyond_the_timeout_is_cut(platform: Platform, name: str, web: str) -> None:
    url = deploy(platform, web, name, "--timeout", "1")
    cut = platform.get(f"{url}/cgi-bin/sleep?5")
    assert cut.status_code == 504
    # The status alone is certain. Knative says why, unless its two timers meet: the activator may
    # cut queue-proxy's own 504 between status and sentence (serving, pkg/http/handler/timeout.go).
    assert cut.elapsed.total_seconds() < 5
    assert platform.get(url).status_code == 200


def test_cpu_and_memory_are_limits(platform: Platform, name: str, web: str) -> None:
    url = deploy(platform, web, name, "--cpu", "500m", "--memory", "64Mi")
    memory, cpu = platform.get(f"{url}/cgi-bin/limits").text.splitlines()[:2]
    assert memory == str(64 * 2**20)
    assert cpu.split()[0] == "50000"  # of each 100,000 µs


def test_too_much_memory_is_said_to_be_that(platform: Platform, name: str, web: str) -> None:
    glutton = ("--command", "/bin/sh", "--args", "-c,x=xxxxxxxx; while :; do x=$x$x; done")
    failed = platform.maxcloud(
        *("deploy", web, "--name", name, "--memory", "32Mi", *glutton), code=1
    )
    assert "OOMKilled" in failed.err
    assert "more memory" in failed.err
    assert "--memory" in failed.err


@pytest.mark.last
def test_min_is_kept(platform: Platform, kept: str) -> None:
    # It was deployed before all others, and nobody has asked it since.
    assert platform.backend.instances(kept) == 2
    platform.maxcloud("deploy", "--name", kept, "--min", "0")
    eventually("instances", lambda: platform.backend.instances(kept), 180, lambda n: n == 0)

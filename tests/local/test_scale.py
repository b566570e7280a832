"""From nothing to as many instances as are needed, and back to nothing."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil

from tests.journeys.platform import Platform, eventually
from tests.local.backend import Engine

SAMPLE = "maxcloud.local/hello"


def children(engine: Engine) -> list[str]:
    """The command lines of what the engine has started, beside the registry and what ends it.

    Those two are no function and no instance: they run as long as the engine does.
    """
    assert engine.process is not None
    lines = [
        " ".join(child.cmdline())
        for child in psutil.Process(engine.process.pid).children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE
    ]
    return [line for line in lines if not line.endswith("/registry/config.json")]


def at_rest(engine: Engine) -> None:
    # The sweep wakes `reconcile` once a minute, and it sleeps again 6 s later.
    eventually("children", lambda: children(engine), 60, lambda running: running == [])


def test_at_rest_nothing_runs(local_engine: Engine) -> None:
    at_rest(local_engine)
    assert local_engine.kubernetes("GET", "/api/v1/pods")["items"] == []


def test_an_idle_api_answers_many_at_once(local_engine: Engine) -> None:
    at_rest(local_engine)
    with ThreadPoolExecutor(20) as clients:
        url = f"{local_engine.api_url}/api/v1/services"
        answers = list(clients.map(lambda _: httpx.get(url, timeout=60).status_code, range(20)))
    assert answers == [200] * 20


def test_a_service_at_zero_loses_no_request(
    platform: Platform, local_engine: Engine, name: str
) -> None:
    url = platform.maxcloud("deploy", SAMPLE, "--name", name).out.strip()
    eventually("instances", lambda: local_engine.instances(name), 60, lambda n: n == 0)

    def client(_: int) -> Counter[int]:
        headers = {"Host": httpx.URL(url).netloc.decode()}
        with httpx.Client(base_url=local_engine.api_url, timeout=60) as web:
            return Counter(web.get("/", headers=headers).status_code for _ in range(20))

    with ThreadPoolExecutor(50) as clients:
        answers = sum(clients.map(client, range(50)), Counter[int]())
    assert answers == {200: 1000}


def test_concurrency_starts_instances_and_max_ends_that(
    platform: Platform, local_engine: Engine, name: str
) -> None:
    limits = ("--concurrency", "2", "--max", "2")
    url = platform.maxcloud("deploy", SAMPLE, "--name", name, *limits).out.strip()
    with ThreadPoolExecutor(16) as clients:
        answers = [clients.submit(platform.get, f"{url}/?sleep=1") for _ in range(16)]
        counts = [local_engine.instances(name)]
        while not all(answer.done() for answer in answers):
            counts.append(local_engine.instances(name))
    assert [answer.result().status_code for answer in answers] == [200] * 16
    assert max(counts) == 2

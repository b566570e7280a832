"""A running platform as the measurements of many services use it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Self

import httpx
import psycopg

from maxcloud.client import Client
from maxcloud.errors import NotFound
from maxcloud.models import DeployRequest, Service, UpdateRequest

# Clients that create and delete at the same time.
WRITERS = 8

# How long one service, and how long all of them, may take.
ONE_SECONDS, ALL_SECONDS = 120, 1800

_numbers = count()


def connections(asking: psycopg.Connection[tuple[int]]) -> int:
    """Return how many connections the database has, beside the one that asks."""
    query = (
        "select count(*) from pg_stat_activity"
        " where backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    [(number,)] = asking.execute(query).fetchall()
    return number


class Crowd:
    """Services of one image, which are there and do not run."""

    def __init__(self, api_url: str, image: str) -> None:
        self._client, self._http = Client(api_url), httpx.Client(base_url=api_url)
        self._image = image
        self.names: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._http.close()

    def grow(self, size: int) -> float:
        """Create so many services; return the seconds until all are ready."""
        began = time.perf_counter()
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(lambda _: self._create(), range(size)))
        _until(lambda: all(map(_is_ready, self._client.list_services())), ALL_SECONDS, pause=0.25)
        return time.perf_counter() - began

    def clear(self) -> None:
        """Delete all of them, and wait until they are gone."""
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(self._client.delete_service, self.names))
        gone = set(self.names)
        _until(
            lambda: not gone & {each.name for each in self._client.list_services()},
            ALL_SECONDS,
            pause=0.25,
        )

    def deploy(self) -> float:
        """Return the seconds of one deploy, from the request until the service is ready."""
        began = time.perf_counter()
        name = self._create()
        _until(lambda: _is_ready(self._client.get_service(name)), ONE_SECONDS)
        seconds = time.perf_counter() - began
        self._client.delete_service(name)
        self.names.remove(name)
        _until(lambda: self._is_gone(name), ONE_SECONDS)
        return seconds

    def change(self) -> float:
        """Return the seconds of a change that makes a revision, until that is ready."""
        began = time.perf_counter()
        name = self.names[0]
        self._client.update(name, UpdateRequest(env_vars={"CHANGE": str(next(_numbers))}))
        _until(lambda: _is_ready(self._client.get_service(name)), ONE_SECONDS)
        return time.perf_counter() - began

    def page(self) -> float:
        """Return the seconds of one page of the list."""
        began = time.perf_counter()
        self._http.get("/api/v1/services").raise_for_status()
        return time.perf_counter() - began

    def _create(self) -> str:
        name = f"crowd-{next(_numbers):05}"
        self._client.deploy(DeployRequest(name=name, image=self._image))
        self.names.append(name)
        return name

    def _is_gone(self, name: str) -> bool:
        try:
            self._client.get_service(name)
        except NotFound:
            return True
        return False


def _is_ready(service: Service) -> bool:
    assert service.status != "failed", service.message
    return service.status == "ready" and service.observed_generation == service.generation


def _until(condition: Callable[[], bool], seconds: float, pause: float = 0.01) -> None:
    end = time.perf_counter() + seconds
    while not condition():
        assert time.perf_counter() < end, f"not within {seconds} s"
        time.sleep(pause)

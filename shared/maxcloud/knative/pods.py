"""Pods and their logs, watched and followed: what the function `logs` asks of the Kubernetes API.

Raw HTTP, because of what the client libraries cost or lack here: `kubernetes` takes longer to
import than a function to start, and lightkube reads a log line by line, however long a line is.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from maxcloud.errors import MaxCloudError, Unavailable
from maxcloud.instances import InstanceState
from maxcloud.knative.kubeconfig import Access

CONTAINER = "user-container"
SERVICE_LABEL = "serving.knative.dev/service"
REVISION_LABEL = "serving.knative.dev/revision"

# A server may give each line as a container runtime's file has it, with its stream; Kubernetes
# itself knows no such form, and answers with plain text (kubernetes KEP-3288 is alpha and off).
CRI_LOG = "application/vnd.maxcloud.cri-log"

CONNECT_SECONDS = 5.0

# How long an answer may be waited for; and how long what is followed may be silent until it is
# asked for anew, for a connection whose other end is lost says nothing either. A watch ends before.
ANSWER_SECONDS, SILENT_SECONDS, WATCH_SECONDS = 10.0, 300.0, 240

# Between the attempts to watch again.
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.2, 10.0

_NO_LOG, _GONE = frozenset({400, 404}), 410
_SAID_BYTES_MAX = 1000

_log = logging.getLogger(__name__)


class NoLog(MaxCloudError):
    """There is nothing to read: the container has not started yet, or the pod is gone."""


class _Expired(MaxCloudError):
    """What is watched must be listed anew."""


@dataclass(frozen=True, slots=True)
class Pod:
    """An instance; `has_run` says whether there is a log, `restarts` of how many containers."""

    name: str
    revision: str
    state: InstanceState
    has_run: bool
    restarts: int


@dataclass(frozen=True, slots=True)
class Output:
    """A log as it comes; `names_streams` says in which form."""

    names_streams: bool
    chunks: AsyncIterator[bytes]


def selector(service: str, revision: str | None = None) -> str:
    """Return the label selector of a service's instances, or of one of its revisions'."""
    of_revision = f",{REVISION_LABEL}={revision}" if revision else ""
    return f"{SERVICE_LABEL}={service}{of_revision}"


def pod_of(found: dict[str, Any]) -> Pod:
    """Return what an object of Kubernetes says of an instance."""
    metadata, status = found["metadata"], found.get("status", {})
    containers = status.get("containerStatuses", [])
    container: dict[str, Any] = next((each for each in containers if each["name"] == CONTAINER), {})
    states = {**container.get("lastState", {}), **container.get("state", {})}
    return Pod(
        metadata["name"],
        metadata.get("labels", {}).get(REVISION_LABEL, ""),
        _state(metadata, status),
        has_run="running" in states or "terminated" in states,
        restarts=container.get("restartCount", 0),
    )


def _state(metadata: dict[str, Any], status: dict[str, Any]) -> InstanceState:
    if "deletionTimestamp" in metadata or status.get("phase") in {"Succeeded", "Failed"}:
        return InstanceState.STOPPING
    conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
    return InstanceState.READY if conditions.get("Ready") == "True" else InstanceState.STARTING


class Pods:
    """The pods of one namespace. Everything raises Unavailable when the cluster does not answer."""

    def __init__(self, http: httpx.AsyncClient, namespace: str) -> None:
        self._http = http
        self._path = f"/api/v1/namespaces/{namespace}/pods"

    @classmethod
    @asynccontextmanager
    async def connect(cls, access: Access, namespace: str) -> AsyncIterator["Pods"]:
        """Yield the pods of a namespace of the cluster that `access` leads to."""
        async with httpx.AsyncClient(
            base_url=access.server,
            auth=_Bearer(access.token),
            verify=access.tls,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        ) as http:
            yield cls(http, namespace)

    async def list(self, selector: str) -> dict[str, Pod]:
        """Return the pods that a label selector means, by name."""
        return (await self._list(selector))[0]

    async def watch(self, selector: str) -> AsyncGenerator[dict[str, Pod], None]:
        """Yield the pods that there are, and all of them again after each change, for ever.

        Raises Unavailable when the first look fails; what goes wrong later is waited out.
        """
        pods, version = await self._list(selector)
        yield dict(pods)
        pause = PAUSE_SECONDS
        while True:
            try:
                async with aclosing(self._changes(selector, version)) as changes:
                    async for kind, found in changes:
                        version, pause = found["metadata"]["resourceVersion"], PAUSE_SECONDS
                        if kind == "BOOKMARK":
                            continue
                        if kind == "DELETED":
                            pods.pop(found["metadata"]["name"], None)
                        else:
                            pods[found["metadata"]["name"]] = pod_of(found)
                        yield dict(pods)
                is_known = True  # a server ends a watch from time to time
            except (_Expired, Unavailable):
                is_known = False
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_SECONDS_MAX)
            if is_known:
                continue
            with suppress(Unavailable):
                pods, version = await self._list(selector)
                yield dict(pods)

    @asynccontextmanager
    async def log(
        self,
        pod: str,
        *,
        follow: bool = False,
        since: str | None = None,
        tail: int | None = None,
        previous: bool = False,
    ) -> AsyncIterator[Output]:
        """Yield a pod's log with times: of whole seconds is `since`, RFC 3339.

        `previous` is that of the container before the last restart. Raises NoLog.
        """
        query = {"container": CONTAINER, "timestamps": "true"}
        query |= {"follow": "true"} if follow else {}
        query |= {"previous": "true"} if previous else {}
        query |= {"sinceTime": since} if since is not None else {}
        query |= {"tailLines": str(tail)} if tail is not None else {}
        accept = {"Accept": f"{CRI_LOG}, */*;q=0.5", "Accept-Encoding": "identity"}
        path = f"{self._path}/{pod}/log"
        silence = SILENT_SECONDS if follow else ANSWER_SECONDS
        async with self._stream(path, query, silence, headers=accept, nothing=_NO_LOG) as answer:
            form = answer.headers.get("Content-Type", "")
            yield Output(form == CRI_LOG, answer.aiter_raw())

    async def _list(self, selector: str) -> tuple[dict[str, Pod], str]:
        with _trouble():
            answer = await self._http.get(
                self._path, params={"labelSelector": selector}, timeout=ANSWER_SECONDS
            )
            await _check(answer)
            found = answer.json()
        pods = [pod_of(each) for each in found["items"]]
        return {pod.name: pod for pod in pods}, found["metadata"]["resourceVersion"]

    async def _changes(
        self, selector: str, version: str
    ) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        query = {"watch": "true", "labelSelector": selector, "resourceVersion": version}
        query |= {"allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        async with self._stream(self._path, query, SILENT_SECONDS) as answer:
            rest = b""
            async for chunk in answer.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _Expired(str(event["object"].get("message")))
                    yield event["type"], event["object"]

    @asynccontextmanager
    async def _stream(
        self,
        path: str,
        query: dict[str, str],
        silence: float,
        *,
        headers: dict[str, str] | None = None,
        nothing: frozenset[int] = frozenset(),
    ) -> AsyncIterator[httpx.Response]:
        limit = httpx.Timeout(CONNECT_SECONDS, read=silence)
        with _trouble():
            async with self._http.stream(
                "GET", path, params=query, headers=headers, timeout=limit
            ) as answer:
                if answer.status_code in nothing:
                    raise NoLog(path)
                await _check(answer)
                yield answer


@contextmanager
def _trouble() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        _log.info("Kubernetes: %r", error)  # of a silent log, too
        raise _unavailable() from error


async def _check(answer: httpx.Response) -> None:
    if answer.status_code == _GONE:
        raise _Expired(str(answer.url))
    if not answer.is_success:
        # What Kubernetes says names accounts and namespaces: it is for the operator alone.
        said = (await answer.aread())[:_SAID_BYTES_MAX].decode(errors="replace")
        _log.warning("Kubernetes answered %s: %s", answer.status_code, said)
        raise _unavailable()


def _unavailable() -> Unavailable:
    return Unavailable("the cluster does not show its instances now", retry_after=5)


class _Bearer(httpx.Auth):
    def __init__(self, token: Callable[[], str | None]) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if token := self._token():
            request.headers["Authorization"] = f"Bearer {token.strip()}"
        yield request

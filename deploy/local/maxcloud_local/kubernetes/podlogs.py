"""The logs of pods, as `kubectl logs` and the function `logs` ask for them."""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from maxcloud_local.kinds import POD
from maxcloud_local.kubernetes import incoming
from maxcloud_local.kubernetes.refusals import BadRequest
from maxcloud_local.kubernetes.streams import Streams
from maxcloud_local.logs import Line, Logs
from maxcloud_local.store import Object, Store

# How a container runtime's own file has a line: with its stream. Kubernetes answers with plain text
# alone, to whoever accepts something else too (kubernetes KEP-3288 is alpha).
CRI_LOG = "application/vnd.maxcloud.cri-log"

# A write for each line would be most of the work, and one for all of them take much memory.
_LINES_AT_ONCE = 50


class PodLogs:
    """GET …/pods/{name}/log, with follow, tailLines, sinceSeconds, sinceTime and timestamps."""

    def __init__(self, store: Store, logs: Logs, streams: Streams) -> None:
        self._store, self._logs, self._streams = store, logs, streams

    async def read(self, request: web.Request) -> web.StreamResponse:
        """Answer with the lines. Raises NotFound and BadRequest."""
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        pod = self._store.get(POD, namespace, name)
        container = _container(pod, request.query.get("container", ""))
        since, tail = _since(request), incoming.number(request, "tailLines")
        follow, timed = incoming.flag(request, "follow"), incoming.flag(request, "timestamps")
        if incoming.flag(request, "previous"):
            raise BadRequest(
                f'previous terminated container "{container}" in pod "{name}" not found'
            )
        log = self._logs.find(namespace, name)
        if log is None:
            raise BadRequest(
                f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating'
            )
        form = CRI_LOG if CRI_LOG in request.headers.get("Accept", "") else "text/plain"
        async with self._streams.answer(request, form) as answer:
            async for lines in log.read(follow=follow, tail=tail, since=since):
                for first in range(0, len(lines), _LINES_AT_ONCE):
                    some = lines[first : first + _LINES_AT_ONCE]
                    await answer.write(b"".join(_written(line, form, timed=timed) for line in some))
        return answer


def _container(pod: Object, wanted: str) -> str:
    names = [each["name"] for each in pod.get("spec", {}).get("containers", [])]
    if wanted and wanted not in names:
        name = pod["metadata"]["name"]
        raise BadRequest(f"container {wanted} is not valid for pod {name}")
    return wanted or next(iter(names), "")


def _since(request: web.Request) -> datetime | None:
    seconds, time = incoming.number(request, "sinceSeconds"), request.query.get("sinceTime", "")
    if seconds is not None and time:
        raise BadRequest("at most one of sinceTime or sinceSeconds may be specified")
    try:
        if seconds is not None:
            return datetime.now(UTC) - timedelta(seconds=seconds)
        if not time:
            return None
        parsed = datetime.fromisoformat(time)
    except (ValueError, OverflowError):
        raise BadRequest("sinceTime or sinceSeconds is no time") from None
    if parsed.tzinfo is None:
        raise BadRequest("sinceTime names no time zone")
    return parsed


def _written(line: Line, form: str, *, timed: bool) -> bytes:
    # RFC 3339 with nanoseconds, as the kubelet writes it.
    time = line.time.strftime("%Y-%m-%dT%H:%M:%S.%f000Z ") if timed else ""
    stream = f"{line.stream} F " if form == CRI_LOG else ""
    return f"{time}{stream}{line.text}\n".encode(errors="replace")

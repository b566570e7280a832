"""Whether rows, cluster and what clients were told agree. Pure: it reads, and says what does not.

It knows nothing of how the platform compares them itself.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from tests.faults.journal import Told

Row = dict[str, Any]
Object = dict[str, Any]

# What a client reads of a service that stays as it was written.
WRITTEN = (
    *("image", "port", "command", "args", "env_vars", "min_scale", "max_scale", "concurrency"),
    *("cpu", "memory", "timeout_seconds", "traffic"),
)


def contradictions(
    rows: Sequence[Row],
    tombstones: Sequence[Row],
    objects: Sequence[Object],
    told: Sequence[Told] = (),
) -> list[str]:
    """Return what does not agree, one sentence each; nothing when everything has converged."""
    return [
        *_unsettled(rows),
        *_between_rows_and_cluster(rows, tombstones, objects),
        *_names_given_twice(told),
        *_broken_promises(rows, tombstones, told),
    ]


def _unsettled(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        if row["status"] == "deleting":
            yield f"{row['name']} is still being deleted"
        elif row["observed_generation"] != row["generation"]:
            said = f"{row['status']} {row['reason']}: {row['message']}"
            yield f"{row['name']} has not settled: {said}"


def _between_rows_and_cluster(
    rows: Sequence[Row], tombstones: Sequence[Row], objects: Sequence[Object]
) -> Iterator[str]:
    by_id = {_service_id(each): each for each in objects}
    if len(by_id) < len(objects):
        yield "two objects are of one service"
    known = {row["id"] for row in rows}
    dead = {each["service_id"] for each in tombstones}
    for id, live in by_id.items():
        if id not in known:
            what = "was deleted" if id in dead else "is in no row"
            yield f"{live['metadata']['name']} is in the cluster, and its service {what}"
    for row in rows:
        if row["cluster_generation"] is None:
            continue  # it never reached the cluster: there was no such image
        if row["id"] not in by_id:
            yield f"{row['name']} is not in the cluster"
        else:
            yield from (f"{row['name']}: {said}" for said in _differences(row, by_id[row["id"]]))


def _differences(row: Row, live: Object) -> Iterator[str]:
    metadata, spec, status = live["metadata"], live["spec"], live.get("status", {})
    if row["image_refused"]:
        return  # the cluster goes on with what was before
    if metadata["name"] != row["name"]:
        yield f"it is called {metadata['name']}"
    written = int(metadata["annotations"]["maxcloud.dev/generation"])
    if written != row["generation"]:
        yield f"generation {row['generation']} in its row, {written} in the cluster"
        return
    if metadata["generation"] != row["cluster_generation"]:
        yield "its object was changed since it was written"
    if "maxcloud.dev/restores" in metadata["annotations"]:
        yield "it is still restoring a revision"
    template = spec["template"]
    if template["metadata"]["name"] != row["latest_revision"]:
        yield f"revision {row['latest_revision']}, not {template['metadata']['name']}"
    yield from _differences_of_container(row, template)
    wanted = [(share["revision"], share["percent"], share.get("tag")) for share in row["traffic"]]
    flows = [
        (each.get("revisionName", "latest"), each.get("percent", 0), each.get("tag"))
        for each in spec["traffic"]
    ]
    if wanted != flows:
        yield f"traffic {wanted}, not {flows}"
    conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
    if row["status"] == "ready" and conditions.get("Ready") != "True":
        yield f"ready in its row, not in the cluster: {conditions}"
    if row["ready_revision"] != status.get("latestReadyRevisionName"):
        yield f"{row['ready_revision']} is ready, not {status.get('latestReadyRevisionName')}"


def _differences_of_container(row: Row, template: Object) -> Iterator[str]:
    annotations = template["metadata"]["annotations"]
    [container] = template["spec"]["containers"]
    runs = {
        "digest": container["image"].partition("@")[2],
        "env_vars": {each["name"]: each.get("value", "") for each in container.get("env", [])},
        "command": container.get("command", []),
        "args": container.get("args", []),
        "min_scale": int(annotations["autoscaling.knative.dev/min-scale"]),
        "max_scale": int(annotations["autoscaling.knative.dev/max-scale"]),
        "concurrency": template["spec"]["containerConcurrency"],
        "timeout_seconds": template["spec"]["timeoutSeconds"],
    }
    for field, value in runs.items():
        if row[field] != value:
            yield f"{field} is {row[field]} in its row, {value} in the cluster"


def _names_given_twice(told: Sequence[Told]) -> Iterator[str]:
    for name, history in _by_name(told).items():
        creations = [each for each in history if each.action == "create" and each.is_done]
        for first, second in itertools.pairwise(creations):
            let_go = any(
                each.action == "delete"
                and each.may_be_done
                and first.began < each.ended
                and each.began < second.ended
                for each in history
            )
            if first.answer["id"] == second.answer["id"] or not let_go:
                yield f"{name} was given twice"


def _broken_promises(
    rows: Sequence[Row], tombstones: Sequence[Row], told: Sequence[Told]
) -> Iterator[str]:
    by_id = {str(row["id"]): row for row in rows}
    dead = {str(each["service_id"]) for each in tombstones}
    for name, history in _by_name(told).items():
        deletions = [each for each in history if each.action == "delete" and each.may_be_done]
        for promise in history:
            if not promise.is_done or promise.action == "delete":
                continue
            row = by_id.get(promise.answer["id"])
            if row is None:
                if promise.answer["id"] not in dead or not deletions:
                    yield f"{name} is lost: {promise}"
            else:
                yield from _kept(row, promise)
        for promise in deletions:
            if promise.is_done:
                yield from _really_gone(name, promise, history, rows)


def _kept(row: Row, promise: Told) -> Iterator[str]:
    generation = promise.answer["generation"]
    if row["generation"] < generation:
        yield f"{row['name']}: generation {generation} was promised, {row['generation']} is there"
    elif row["generation"] == generation:
        for field in WRITTEN:
            promised = promise.answer[field]
            if field == "traffic":
                promised = [
                    {key: each[key] for key in ("revision", "percent", "tag") if each.get(key)}
                    | {"percent": each["percent"]}
                    for each in promised
                ]
            if promised != row[field]:
                yield f"{row['name']}: {field} {promised} was promised, {row[field]} is there"


def _really_gone(
    name: str, deletion: Told, history: Sequence[Told], rows: Iterable[Row]
) -> Iterator[str]:
    came_back = any(
        each.action == "create" and each.may_be_done and each.ended > deletion.began
        for each in history
    )
    if not came_back and any(row["name"] == name for row in rows):
        yield f"{name} is still there: {deletion}"


def _by_name(told: Sequence[Told]) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = {}
    for each in sorted(told, key=lambda one: one.ended):
        found.setdefault(each.name, []).append(each)
    return found


def _service_id(live: Object) -> UUID:
    return UUID(live["metadata"]["labels"]["maxcloud.dev/service-id"])

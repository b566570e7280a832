"""What Knative's broker makes of our answers, counted."""

import itertools
import json
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from maxcloud.events import Type
from tests.cluster.environment import HOST_ADDRESS, ROOT, kubectl
from tests.cluster.inside import database_url
from tests.journeys.platform import Platform, eventually
from tests.knative.conftest import Broker
from tests.knative.test_convergence import handled

DELIVERY = yaml.safe_load((ROOT / "eventing/triggers/reconcile.yaml").read_text())["spec"][
    "delivery"
]


@dataclass
class Recorder:
    """A subscriber on this machine that answers as it is told and keeps what it got."""

    answers: dict[str, list[int]] = field(default_factory=dict)
    seconds: float = 0
    got: list[tuple[float, str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    def deliveries(self, event_id: str, path: str = "/") -> list[tuple[float, dict[str, str]]]:
        return [(at, h) for at, where, h in self.got if where == path and h["ce-id"] == event_id]


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            headers = {key.lower(): value for key, value in self.headers.items()}
            recorder.got.append((time.monotonic(), self.path, headers))
            time.sleep(recorder.seconds)
            waiting = recorder.answers.get(headers["ce-id"], [])
            self.send_response(waiting.pop(0) if waiting else 204)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output for the test."""

    server = ThreadingHTTPServer((HOST_ADDRESS, 0), Handler)
    recorder.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield recorder
    server.shutdown()
    thread.join()
    server.server_close()


def trigger(recorder: Recorder, broker: str = "maxcloud") -> dict[str, Any]:
    """Our own delivery settings, with the recorder for a subscriber and for dead letters."""
    here = f"http://{HOST_ADDRESS}:{recorder.port}"
    return {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Trigger",
        "metadata": {"name": f"recorder-{broker}", "namespace": "mc-system"},
        "spec": {
            "broker": broker,
            "filters": [{"prefix": {"type": "test."}}],
            "subscriber": {"uri": f"{here}/"},
            "delivery": {**DELIVERY, "deadLetterSink": {"uri": f"{here}/dead"}},
        },
    }


@pytest.fixture(scope="module")
def subscribed(recorder: Recorder) -> Iterator[Recorder]:
    kubectl("apply", "-f", "-", stdin=json.dumps(trigger(recorder)))
    where = ("trigger/recorder-maxcloud", "-n", "mc-system")
    kubectl("wait", *where, "--for=condition=Ready", "--timeout=60s")
    yield recorder
    kubectl("delete", *where)


def test_an_answered_event_comes_once(subscribed: Recorder, broker: Broker) -> None:
    # A marker whose retry comes 0.5 s later: by then a second delivery of the others would be here.
    marker = uuid.uuid4().hex
    subscribed.answers[marker] = [503, 503]
    ids = [broker.publish("test.once", {"n": n}) for n in range(20)]
    broker.publish("test.once", {}, event_id=marker)
    eventually("marker", lambda: subscribed.deliveries(marker), 30, lambda got: len(got) == 3)
    assert [len(subscribed.deliveries(event_id)) for event_id in ids] == [1] * len(ids)


def test_an_event_comes_again_while_the_answer_is_503(
    subscribed: Recorder, broker: Broker, recorder: Recorder
) -> None:
    event = uuid.uuid4().hex
    recorder.answers[event] = [503, 503, 503]
    broker.publish("test.again", {}, event_id=event)
    got = eventually("deliveries", lambda: recorder.deliveries(event), 60, lambda d: len(d) == 4)
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(got)]
    assert gaps == sorted(gaps)
    assert gaps[0] >= 0.5
    assert gaps[2] >= 2 * gaps[0]
    assert recorder.deliveries(event, "/dead") == []


def test_a_malformed_event_is_a_dead_letter_at_once(
    subscribed: Recorder, broker: Broker, recorder: Recorder
) -> None:
    event = uuid.uuid4().hex
    recorder.answers[event] = [400]
    broker.publish("test.malformed", {}, event_id=event)
    [(_, headers)] = eventually(
        "dead letter", lambda: recorder.deliveries(event, "/dead"), 30, lambda d: len(d) == 1
    )
    assert headers["ce-knativeerrorcode"] == "400"
    assert len(recorder.deliveries(event)) == 1


def test_reconcile_keeps_dead_letters(broker: Broker) -> None:
    event = broker.publish(Type.DEPLOY_REQUESTED, {"id": "not an id"})
    query = "select type, code, body, destination from dead_letters where event_id = %s"

    def kept() -> list[tuple[Any, ...]]:
        with psycopg.connect(database_url("worker")) as connection:
            return connection.execute(query, [event]).fetchall()

    [(type, code, body, destination)] = eventually("row", kept, 60, lambda rows: len(rows) == 1)
    assert (type, code) == (Type.DEPLOY_REQUESTED, 400)
    assert "not an id" in body
    assert "reconcile" in destination


def test_a_deploy_is_reconciled_once(platform: Platform, name: str, web: tuple[str, str]) -> None:
    platform.maxcloud("deploy", web[0], "--name", name)
    service = platform.api("GET", f"/api/v1/services/{name}").json()
    event = f"{service['id']}:{service['generation']}:{Type.DEPLOY_REQUESTED}"
    assert handled("reconcile", event) == 1


def test_nobody_waits_for_the_broker(
    recorder: Recorder, broker: Broker, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broker without the asynchronous setting holds its publisher; a POST it does not hold."""
    recorder.seconds = 1.0
    slow = {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Broker",
        "metadata": {"name": "slow", "namespace": "mc-system"},
    }
    all_types = trigger(recorder, "slow")
    all_types["spec"]["filters"] = []
    sync = services_with_sink(lambda sink: sink.replace("/maxcloud", "/slow"), "sync-services")
    alone = services_with_sink(lambda _: "", "alone-services")
    objects = [slow, all_types, sync, alone]
    names: list[str] = []
    try:
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
        for thing in ("broker/slow", "trigger/recorder-slow", "ksvc/sync-services"):
            kubectl("wait", thing, "-n", "mc-system", "--for=condition=Ready", "--timeout=120s")
        kubectl("wait", "ksvc/alone-services", "-n", "mc-system", "--for=condition=Ready")
        publish = {
            "asynchronous": timed(lambda: broker.publish("test.latency", {})),
            "synchronous": timed(lambda: broker.publish("test.latency", {}, broker="slow")),
        }
        posts = {}
        with httpx.Client(base_url=platform.backend.api_url, timeout=30) as client:
            for case, host in {
                "no broker": "alone-services.localhost",
                "asynchronous": "localhost",
                "synchronous": "sync-services.localhost",
            }.items():

                def post(host: str = host) -> None:
                    names.append(f"k-{uuid.uuid4().hex[:8]}")
                    body = {"name": names[-1], "image": "registry.maxcloud.test:5443/none:1"}
                    headers = {"Host": host}
                    answer = client.post("/api/v1/services", json=body, headers=headers)
                    assert answer.status_code == 201

                post()  # warm
                posts[case] = timed(post)
    finally:
        recorder.seconds = 0
        kubectl("delete", "-f", "-", "--ignore-not-found", stdin=yaml.safe_dump_all(objects))
        for made in names:
            platform.api("DELETE", f"/api/v1/services/{made}")
    with capsys.disabled():
        print(f"\nms, median of 7: publish {publish}, POST /api/v1/services {posts}")
    assert publish["synchronous"] > 1000 > publish["asynchronous"]
    assert posts["synchronous"] < publish["synchronous"] / 2


def services_with_sink(change: Callable[[str], str], name: str) -> dict[str, Any]:
    """A second `services` under a host of its own, with another broker."""
    api = json.loads(kubectl("get", "ksvc", "services", "-n", "mc-system", "-o", "json"))
    spec = api["spec"]["template"]["spec"]
    for variable in spec["containers"][0]["env"]:
        if variable["name"] == "K_SINK":
            variable["value"] = change(variable["value"])
    metadata = {"annotations": {"autoscaling.knative.dev/min-scale": "1"}}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "mc-system"},
        "spec": {"template": {"metadata": metadata, "spec": spec}},
    }


def timed(act: Callable[[], object]) -> float:
    """Milliseconds, median of seven."""
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds) * 1000, 1)

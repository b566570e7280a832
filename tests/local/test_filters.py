"""Which events a Trigger wants."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from maxcloud_local.eventing.filters import UnknownFilter, compiled
from maxcloud_local.eventing.subscriptions import Unusable, subscription

TRIGGERS = Path(__file__).parents[2] / "eventing" / "triggers"

EVENT = {"type": "dev.knative.apiserver.ref.add", "source": "/s", "kind": "Service", "empty": ""}


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ([], True),
        ([{"exact": {"kind": "Service"}}], True),
        ([{"exact": {"kind": "service"}}], False),
        ([{"exact": {"kind": "Service", "source": "/s"}}], True),
        ([{"exact": {"kind": "Service", "source": "/t"}}], False),
        ([{"exact": {"missing": ""}}], False),
        ([{"exact": {"empty": ""}}], True),
        ([{"prefix": {"type": "dev.knative.apiserver.ref."}}], True),
        ([{"prefix": {"type": "knative"}}], False),
        ([{"prefix": {"missing": "x"}}], False),
        ([{"any": [{"exact": {"kind": "Pod"}}, {"prefix": {"source": "/"}}]}], True),
        ([{"any": [{"exact": {"kind": "Pod"}}, {"prefix": {"source": "x"}}]}], False),
        ([{"exact": {"kind": "Service"}}, {"prefix": {"source": "/"}}], True),
        ([{"exact": {"kind": "Service"}}, {"prefix": {"source": "x"}}], False),
    ],
)
def test_filters(filters: list[Any], passes: bool) -> None:
    assert compiled(filters)(EVENT) is passes


@pytest.mark.parametrize(
    "filter",
    [
        {"suffix": {"type": "add"}},
        {"not": {"exact": {"kind": "Pod"}}},
        {"cesql": "TRUE"},
        {"exact": {}},
        {"any": []},
        {"any": [{"exact": {"kind": "Service"}}, {"cesql": "TRUE"}]},
        {"exact": {"kind": "Service"}, "cesql": "TRUE"},
        "exact",
    ],
)
def test_an_unknown_dialect_is_refused_before_any_event(filter: Any) -> None:
    with pytest.raises(UnknownFilter, match="exact, prefix and any"):
        compiled([{"exact": {"kind": "Pod"}}, filter])


def every_trigger() -> dict[str, Any]:
    files = TRIGGERS.glob("*.yaml")
    found = [each for file in files for each in yaml.safe_load_all(file.read_text("utf-8"))]
    return {each["metadata"]["name"]: each for each in found}


@pytest.mark.parametrize(
    ("attributes", "wanted_by"),
    [
        ({"type": "dev.maxcloud.deploy-requested"}, {"reconcile", "status-hints"}),
        ({"type": "dev.knative.sources.ping"}, {"mailer", "reconcile"}),
        ({"type": "dev.knative.apiserver.ref.update", "kind": "Service"}, {"status"}),
        ({"type": "dev.knative.apiserver.ref.update", "kind": "Pod"}, set()),
        ({"type": "dev.maxcloud.service-ready"}, set()),
    ],
)
def test_the_platforms_triggers(attributes: dict[str, str], wanted_by: set[str]) -> None:
    triggers = every_trigger()
    assert triggers
    assert wanted_by == {
        name for name, each in triggers.items() if subscription(each).matches(attributes)
    }


def test_the_platforms_delivery() -> None:
    read = subscription(every_trigger()["reconcile"])
    assert read.subscriber.url == "http://reconcile.mc-system.svc.cluster.local/"
    assert read.dead_letters is not None
    assert read.dead_letters.url == "http://reconcile.mc-system.svc.cluster.local/dead-letters"
    assert (read.retries, read.timeout) == (8, 60)
    assert [read.pause(n) for n in range(8)] == [0.5, 1, 2, 4, 8, 16, 32, 64]
    assert subscription(every_trigger()["status-hints"]).dead_letters is None


@pytest.mark.parametrize(
    ("delivery", "pauses"),
    [
        ({}, [0, 0, 0]),
        ({"backoffDelay": "PT1S"}, [0, 0, 0]),
        ({"backoffPolicy": "linear", "backoffDelay": "PT1S"}, [0, 1, 2]),
        ({"backoffPolicy": "exponential", "backoffDelay": "PT1M"}, [60, 120, 240]),
    ],
)
def test_pauses(delivery: dict[str, str], pauses: list[float]) -> None:
    read = subscription(trigger(delivery=delivery))
    assert [read.pause(n) for n in range(3)] == pauses


@pytest.mark.parametrize(
    "spec",
    [
        {"filter": {"attributes": {"type": "x"}}},
        {"subscriber": {"uri": "http://elsewhere.example"}},
        {"subscriber": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "x"}}},
        {"delivery": {"timeout": "soon"}},
        {"delivery": {"retry": "often"}},
        {"subscriber": None},
    ],
)
def test_what_cannot_be_delivered_is_said(spec: dict[str, Any]) -> None:
    with pytest.raises(Unusable):
        subscription(trigger(**spec))


def trigger(**spec: Any) -> dict[str, Any]:
    ref = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "taker"}
    return {
        "metadata": {"name": "t", "namespace": "default"},
        "spec": {"broker": "b", "subscriber": {"ref": ref}, **spec},
    }

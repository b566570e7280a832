import re
from typing import Any

import pytest

from maxcloud_local.kinds import REVISION, SERVICE
from maxcloud_local.serving.admission import admission
from maxcloud_local.store import Invalid
from tests.local.standins import ksvc

REFUSED: list[tuple[str, Any, str]] = [
    ("spec", None, "missing field(s): spec.template"),
    ("spec.template", [], "missing field(s): spec.template"),
    ("spec.template.spec", None, "missing field(s): spec.template.spec"),
    ("spec.template.spec.containers", None, "missing field(s): spec.template.spec.containers"),
    ("spec.template.spec.containers", [{}], "missing field(s): spec.template.spec.containers[0]"),
    ("spec.template.spec.containers.0.image", "", "missing field(s): spec.template.spec.cont"),
    (
        "spec.template.spec.containers",
        [{"image": "a"}, {"image": "b"}],
        "multi-container is off, but found 2 containers",
    ),
    ("spec.template.spec.containers.0.ports", [1], "invalid value: spec.template.spec.cont"),
    ("spec.template.spec.containers.0.ports", [{}, {}], "more than one container port is set"),
    ("spec.template.spec.containers.0.ports.0.containerPort", "x", "expected 1 <= x <= 65535"),
    ("spec.template.spec.containerConcurrency", -1, "expected 0 <= -1 <= 1000"),
    ("spec.template.spec.timeoutSeconds", 601, "expected 0 <= 601 <= 600"),
    ("spec.template.metadata", "x", "invalid value: spec.template.metadata"),
    ("spec.template.metadata.labels", {"a": 1}, "invalid value: spec.template.metadata.labels"),
    ("spec.template.metadata.name", "Hello-1", "not a DNS 1035 label"),
    ("spec.template.metadata.name", "bye-1", '"bye-1" must have prefix "hello-"'),
    ("spec.traffic", [{"percent": 99}], "Traffic targets sum to 99, want 100: spec.traffic"),
    ("spec.traffic", [{"percent": 101}], "expected 0 <= 101 <= 100: spec.traffic[0].percent"),
    ("spec.traffic", ["x"], "invalid value: spec.traffic"),
    ("spec.traffic", [{"percent": 100, "tag": "X"}], "not a DNS 1035 label: spec.traffic[0].tag"),
    (
        "spec.traffic",
        [{"percent": 100, "tag": "x"}, {"tag": "x"}],
        'Multiple definitions for "x": spec.traffic[1].tag',
    ),
    (
        "spec.traffic",
        [{"percent": 100, "latestRevision": True, "revisionName": "x"}],
        'may not set revisionName "x" when latestRevision is true',
    ),
    ("metadata.name", "Hello", "not a DNS 1035 label: metadata.name"),
]


@pytest.mark.parametrize(("path", "value", "words"), REFUSED)
def test_a_broken_service_is_refused(path: str, value: Any, words: str) -> None:
    wanted = ksvc("hello-00001")
    place: Any = wanted
    *way, last = path.split(".")
    for step in way:
        place = place[int(step) if step.isdecimal() else step]
    place[last] = value
    with pytest.raises(Invalid, match=re.escape(words)) as refused:
        admission(SERVICE, None, wanted)
    assert str(refused.value).startswith(
        'admission webhook "validation.webhook.serving.knative.dev" denied the request: '
    )


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("autoscaling.knative.dev/min-scale", "-1"),
        ("autoscaling.knative.dev/max-scale", "many"),
        ("autoscaling.knative.dev/initial-scale", "1.5"),
        ("autoscaling.knative.dev/window", "5s"),
        ("autoscaling.knative.dev/window", "2h"),
        ("serving.knative.dev/progress-deadline", "soon"),
    ],
)
def test_an_annotation_that_cannot_be_read_is_refused(annotation: str, value: str) -> None:
    wanted = ksvc("hello-00001")
    wanted["spec"]["template"]["metadata"]["annotations"][annotation] = value
    with pytest.raises(Invalid, match=re.escape(annotation)):
        admission(SERVICE, None, wanted)


def test_the_most_is_not_less_than_the_least() -> None:
    wanted = ksvc("hello-00001")
    wanted["spec"]["template"]["metadata"]["annotations"] |= {
        "autoscaling.knative.dev/min-scale": "3",
        "autoscaling.knative.dev/max-scale": "2",
    }
    with pytest.raises(Invalid, match="max-scale=2 is less than min-scale=3"):
        admission(SERVICE, None, wanted)


def test_a_template_never_changes_under_its_name() -> None:
    with pytest.raises(Invalid, match="Saw the following changes without a name change") as refused:
        admission(SERVICE, ksvc("hello-00001"), ksvc("hello-00001", image="b"))
    assert '-: [{"image": "a"' in str(refused.value)
    admission(SERVICE, ksvc("hello-00001"), ksvc("hello-00002", image="b"))
    admission(SERVICE, ksvc("hello-00001"), ksvc("hello-00001", labels={"a": "b"}))
    admission(SERVICE, ksvc(None), ksvc(None, image="b"))


def test_a_revision_never_changes() -> None:
    with pytest.raises(Invalid, match="Immutable fields changed"):
        admission(REVISION, {"spec": {"a": 1}}, {"spec": {"a": 2}})
    admission(REVISION, {"spec": {"a": 1}}, {"spec": {"a": 1}, "status": {}})

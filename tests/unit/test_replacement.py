"""What must be written so that the cluster has what is wanted, and what never is."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from maxcloud.knative import manifests, objects
from maxcloud.knative.manifests import Occupied, Superseded, replacement
from maxcloud.knative.objects import Manifest
from maxcloud.models import Template
from maxcloud.traffic import LATEST, TrafficShare
from tests.unit.shop import ID, IMAGE, LABELS, as_wanted, live, wanted


@pytest.mark.parametrize("settings", [{}, {"env_vars": {"A": "1"}, "args": ["x"], "cpu": "0.5"}])
def test_what_is_as_wanted_is_left_alone(settings: dict[str, Any]) -> None:
    assert replacement(live(**settings), wanted(**settings)) is None


def test_a_newer_generation_replaces_with_the_version_that_was_read() -> None:
    before, new = live(2), wanted(3, env_vars={"A": "1"})
    written = replacement(before, new)
    assert written is not None
    assert written["spec"] == new["spec"]
    assert "status" not in written
    metadata = written["metadata"]
    assert metadata["resourceVersion"] == "1234"
    assert metadata["uid"] == before["metadata"]["uid"]
    assert metadata["annotations"] == {
        "maxcloud.dev/generation": "3",
        "serving.knative.dev/creator": "system:serviceaccount:mc-system:reconcile",
        "serving.knative.dev/lastModifier": "system:serviceaccount:mc-system:reconcile",
    }
    assert "managedFields" not in metadata
    assert before == live(2)


# Knative lets nobody change a template under its revision's name.
def renamed(thing: Manifest) -> None:
    thing["spec"]["template"]["metadata"]["name"] = "shop-by-hand"


def scaled(thing: Manifest) -> None:
    renamed(thing)
    annotations = thing["spec"]["template"]["metadata"]["annotations"]
    annotations["autoscaling.knative.dev/max-scale"] = "99"


def another_image(thing: Manifest) -> None:
    renamed(thing)
    thing["spec"]["template"]["spec"]["containers"][0]["image"] = "evil"


def more_env(thing: Manifest) -> None:
    renamed(thing)
    thing["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "X", "value": "1"}]


def split(thing: Manifest) -> None:
    thing["spec"]["traffic"] = [{"revisionName": "shop-00001", "percent": 100}]


def unlabelled(thing: Manifest) -> None:
    del thing["metadata"]["labels"]["maxcloud.dev/managed"]


def without_annotations(thing: Manifest) -> None:
    del thing["metadata"]["annotations"]


def tagged(thing: Manifest) -> None:
    thing["spec"]["traffic"][0]["tag"] = "mine"


@pytest.mark.parametrize(
    "change", [scaled, another_image, more_env, split, tagged, unlabelled, without_annotations]
)
def test_what_was_changed_by_hand_is_put_right(change: Callable[[Manifest], None]) -> None:
    changed = live()
    change(changed)
    written = replacement(changed, wanted())
    assert written is not None
    assert replacement(written, wanted()) is None
    assert written["spec"]["traffic"] == wanted()["spec"]["traffic"]
    assert written["metadata"]["labels"] == LABELS


def test_a_template_that_is_as_wanted_goes_back_as_it_was_read() -> None:
    """Knative takes one without its own defaults for a change under the same name."""
    written = replacement(live(2) | {"spec": live(3)["spec"]}, wanted(3))
    assert written is not None
    assert written["spec"]["template"] == live(3)["spec"]["template"]
    assert written["metadata"]["annotations"]["maxcloud.dev/generation"] == "3"


def test_a_revision_that_an_older_release_wrote_is_left_alone() -> None:
    """A release that writes templates in another way must not try to change what runs."""
    older = live()
    del older["spec"]["template"]["metadata"]["annotations"]
    assert replacement(older, wanted()) is None


OLD = TrafficShare(revision="shop-00001", percent=80)
CANARY = [OLD, TrafficShare(revision=LATEST, percent=20, tag="next")]


def test_shares_become_traffic_targets() -> None:
    assert wanted(traffic=CANARY)["spec"]["traffic"] == [
        {"latestRevision": False, "revisionName": "shop-00001", "percent": 80},
        {"latestRevision": True, "percent": 20, "tag": "next"},
    ]
    assert replacement(live(traffic=CANARY), wanted(traffic=CANARY)) is None


def restored(before: Manifest | None) -> Manifest:
    template = Template(image=IMAGE, port=8080, env_vars={"OLD": "1"})
    return manifests.restoring(as_wanted(traffic=CANARY), "shop-00001", template, before)


def test_a_lost_revision_is_made_anew_under_its_name() -> None:
    step = restored(None)
    assert objects.is_restoring(step)
    assert step["spec"]["template"]["metadata"]["name"] == "shop-00001"
    [container] = step["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "OLD", "value": "1"}]
    assert step["spec"]["traffic"] == [{"latestRevision": True, "percent": 100}]
    assert step["metadata"]["annotations"]["maxcloud.dev/generation"] == "3"


def test_traffic_stays_while_a_lost_revision_is_made_anew() -> None:
    before = live(traffic=CANARY)
    written = replacement(before, restored(before))
    assert written is not None
    assert objects.is_restoring(written)
    assert written["spec"]["traffic"] == before["spec"]["traffic"]


def test_what_was_made_anew_is_followed_by_what_is_wanted() -> None:
    written = replacement(restored(None), wanted(traffic=CANARY))
    assert written is not None
    assert not objects.is_restoring(written)
    assert written["spec"] == wanted(traffic=CANARY)["spec"]


def test_a_restoring_object_is_never_taken_for_the_wanted_one() -> None:
    step = live(traffic=CANARY)
    step["metadata"]["annotations"]["maxcloud.dev/restores"] = "shop-00001"
    written = replacement(step, wanted(traffic=CANARY))
    assert written is not None
    assert not objects.is_restoring(written)


def test_an_older_generation_never_overwrites_a_newer() -> None:
    with pytest.raises(Superseded) as newer:
        replacement(live(4), wanted(3))
    assert newer.value.generation == 4


@pytest.mark.parametrize("labels", [{}, {"maxcloud.dev/service-id": str(UUID(int=9))}])
def test_what_belongs_to_somebody_else_is_not_touched(labels: dict[str, str]) -> None:
    foreign = live()
    foreign["metadata"]["labels"] = labels
    with pytest.raises(Occupied, match="another object named shop") as occupied:
        replacement(foreign, wanted())
    assert occupied.value.occupant == objects.service_id(foreign) != ID
    assert not objects.is_of(foreign, ID)
    assert objects.is_of(live(), ID)

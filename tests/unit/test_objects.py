"""What an object in the cluster says of itself."""

import pytest

from maxcloud.knative import objects
from maxcloud.knative.objects import Manifest
from tests.unit.shop import live


@pytest.mark.parametrize(
    ("uid", "going", "is_ours"),
    [
        (live()["metadata"]["uid"], "", True),
        (live()["metadata"]["uid"], "2026-01-01T00:00:09Z", False),
        ("another", "", False),
    ],
)
def test_a_revision_of_a_service_that_was_deleted_is_no_revision_of_the_new_one(
    uid: str, going: str, is_ours: bool
) -> None:
    metadata: Manifest = {"labels": {"serving.knative.dev/serviceUID": uid}}
    if going:
        metadata["deletionTimestamp"] = going
    assert objects.is_revision_of({"metadata": metadata}, live()) == is_ours


@pytest.mark.parametrize(
    ("annotation", "generation"), [("7", 7), ("", 0), ("x", 0), ("-1", 0), (None, 0)]
)
def test_the_generation_of_an_object(annotation: str | None, generation: int) -> None:
    thing = live()
    thing["metadata"]["annotations"]["maxcloud.dev/generation"] = annotation
    if annotation is None:
        del thing["metadata"]["annotations"]
    assert objects.generation_of(thing) == generation

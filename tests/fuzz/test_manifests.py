"""From any template to the cluster and back: what is as wanted is never written again."""

import copy
import json
import re
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from maxcloud.knative import manifests
from maxcloud.knative.manifests import Wanted
from maxcloud.knative.objects import Manifest
from maxcloud.models import Template
from maxcloud.traffic import LATEST, TrafficShare
from maxcloud_local.kinds import SERVICE
from maxcloud_local.serving.admission import admission
from maxcloud_local.store import Store
from tests.fuzz import generated

REVISIONS = [LATEST, "shop-00001", "shop-00002"]


@st.composite
def traffics(draw: st.DrawFn) -> tuple[TrafficShare, ...]:
    """Shares that sum to 100, some with a tag."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), max_size=3)))
    percents = [b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)]
    tags = draw(st.lists(generated.tags, min_size=len(percents), unique=True))
    return tuple(
        TrafficShare(
            revision=draw(st.sampled_from(REVISIONS)),
            percent=percent,
            tag=tag if draw(st.booleans()) else None,
        )
        for percent, tag in zip(percents, tags, strict=False)
    )


def wanted(
    template: Template, traffic: tuple[TrafficShare, ...] = (), generation: int = 3
) -> Manifest:
    shares = traffic or (TrafficShare(revision=LATEST, percent=100),)
    name = f"shop-{generation:05}"
    return manifests.service(
        Wanted(UUID(int=1), UUID(int=2), "shop", "default", generation, name, template, shares)
    )


def kept(store: Store, manifest: Manifest) -> Manifest:
    """What the API gives back: Knative's rules hold, and what is empty is left out."""
    if store.find(SERVICE, "default", "shop") is None:
        store.create(SERVICE, json.loads(json.dumps(manifest)))
    else:
        store.replace(SERVICE, json.loads(json.dumps(manifest)))
    live = copy.deepcopy(store.get(SERVICE, "default", "shop"))
    # Go leaves out what is empty, whatever the object's schema says of it.
    without_empty: Manifest = _without_empty(live)
    return without_empty


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: _without_empty(each) for key, each in value.items()}
        return {key: each for key, each in inner.items() if each not in ("", [], {})}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value


@given(generated.templates, traffics())
def test_what_was_written_is_as_wanted(
    template: Template, traffic: tuple[TrafficShare, ...]
) -> None:
    manifest = wanted(template, traffic)
    live = kept(Store(admission), manifest)
    assert manifests.replacement(live, manifest) is None


@given(generated.templates, generated.templates, traffics(), traffics())
def test_the_next_generation_takes_its_place_in_one_write(
    before: Template,
    after: Template,
    was: tuple[TrafficShare, ...],
    becomes: tuple[TrafficShare, ...],
) -> None:
    store = Store(admission)
    live = kept(store, wanted(before, was))
    manifest = wanted(after, becomes, generation=4)
    changed = manifests.replacement(live, manifest)
    assert changed is not None
    assert changed["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]
    assert manifests.replacement(kept(store, changed), manifest) is None


UNITS = {"m": Decimal("0.001"), "": Decimal(1)}
UNITS |= {unit: Decimal(1000) ** power for power, unit in enumerate("kMGT", 1)}
UNITS |= {f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGT", 1)}


def amount(quantity: str) -> Decimal:
    """What a Kubernetes quantity comes to."""
    parts = re.fullmatch(r"([0-9]*\.?[0-9]+)([a-zA-Z]*)", quantity)
    assert parts, quantity
    return Decimal(parts[1]) * UNITS[parts[2]]


@given(generated.templates)
def test_quantities_are_what_was_asked_for_in_their_shortest_form(template: Template) -> None:
    [container] = wanted(template)["spec"]["template"]["spec"]["containers"]
    limits, requests = container["resources"]["limits"], container["resources"]["requests"]
    assert amount(limits["cpu"]) == amount(template.cpu)
    assert amount(limits["memory"]) == amount(template.memory) == amount(requests["memory"])
    assert Decimal("0.01") <= amount(requests["cpu"]) <= amount(limits["cpu"])
    for quantity in (limits["cpu"], requests["cpu"], limits["memory"]):
        assert "." not in quantity
        assert not quantity.startswith("0")

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from maxcloud.knative import manifests, objects
from maxcloud.knative.isolation import PULL_SECRET
from maxcloud.knative.manifests import Occupied, Superseded, Wanted, replacement
from maxcloud.knative.objects import Manifest
from maxcloud.models import Template
from maxcloud.traffic import LATEST, TrafficShare, all_to

ID, ORG = UUID(int=1), UUID(int=2)
LABELS = {
    "maxcloud.dev/managed": "true",
    "maxcloud.dev/org": str(ORG),
    "maxcloud.dev/service-id": str(ID),
}
IMAGE = f"docker.io/library/nginx@sha256:{'a' * 64}"


def as_wanted(generation: int = 3, traffic: Sequence[TrafficShare] = (), **settings: Any) -> Wanted:
    template = Template(image=IMAGE, **({"port": 8080} | settings))
    return Wanted(
        id=ID,
        org_id=ORG,
        name="shop",
        namespace="mc-org-2",
        generation=generation,
        revision=f"shop-{generation:05}",
        template=template,
        traffic=tuple(traffic or all_to(LATEST)),
    )


def wanted(generation: int = 3, traffic: Sequence[TrafficShare] = (), **settings: Any) -> Manifest:
    return manifests.service(as_wanted(generation, traffic, **settings))


def container(**settings: Any) -> Manifest:
    found: Manifest = wanted(**settings)["spec"]["template"]["spec"]["containers"][0]
    return found


REGISTRY = "registry.maxcloud.dev"


def pulled(image: str, registry: str = REGISTRY, secret: str = PULL_SECRET) -> Any:
    made = replace(
        as_wanted(), template=Template(image=image, port=80), registry=registry, pull_secret=secret
    )
    return manifests.service(made)["spec"]["template"]["spec"].get("imagePullSecrets")


def test_what_is_in_the_private_registry_is_pulled_with_its_secret() -> None:
    mine = f"{REGISTRY}/{ORG}/shop@sha256:{'a' * 64}"
    assert pulled(mine) == [{"name": PULL_SECRET}]
    assert pulled(mine.replace(REGISTRY, "REGISTRY.maxcloud.dev")) == [
        {"name": "maxcloud-registry"}
    ]
    assert pulled(mine, secret="") is None
    local = f"registry.localhost:8080/{ORG}/shop:1"
    assert pulled(local, "registry.localhost:8080") == [{"name": PULL_SECRET}]


@pytest.mark.parametrize(
    "host",
    [
        "registry.maxcloud.dev.evil.example",
        "registry.maxcloud.dev.",
        "registry.maxcloud.dev:443",
        "registry.maxcloud.dev:5000",
        "registry.maxcloud.dev:",
        "registry.maxcloud.dev@evil.example",
        "me:key@registry.maxcloud.dev",
        "evil.example:443/registry.maxcloud.dev",
        "evil.example/registry.maxcloud.dev",
        "registry-maxcloud.dev",
        "xregistry.maxcloud.dev",
        "registry.maxcloud.de",
        "registry.maxcloud",
        "maxcloud.dev",
        "www.registry.maxcloud.dev",
        "registry.maxcloud.dev\\.evil.example",
        "registry.maxcloud.dev%2f.evil.example",
        "registry.maxcloud.dev\u3002evil.example",
        "\u24e1egistry.maxcloud.dev",  # which NFKC makes an r
        "regi\u017ftry.maxcloud.dev",  # and this, in lower case, an s
        "registry.maxcloud.d\u0435v",  # Cyrillic
        "xn--registry.maxcloud.dev",
        "docker.io",
        "localhost",
    ],
)
def test_what_only_looks_like_the_registry_never_gets_the_secret(host: str) -> None:
    assert pulled(f"{host}/{ORG}/shop@sha256:{'a' * 64}") is None


def test_a_template_becomes_a_knative_service() -> None:
    assert wanted(
        port=3000,
        command=["/bin/sh"],
        args=["-c", "serve"],
        env_vars={"B": "2", "A": "1"},
        min_scale=1,
        max_scale=3,
        concurrency=5,
        cpu="500m",
        memory="1Gi",
        timeout_seconds=60,
    ) == {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": "shop",
            "namespace": "mc-org-2",
            "labels": LABELS,
            "annotations": {"maxcloud.dev/generation": "3"},
        },
        "spec": {
            "template": {
                "metadata": {
                    "name": "shop-00003",
                    "labels": LABELS,
                    "annotations": {
                        "autoscaling.knative.dev/min-scale": "1",
                        "autoscaling.knative.dev/max-scale": "3",
                        "serving.knative.dev/progress-deadline": "120s",
                    },
                },
                "spec": {
                    "containerConcurrency": 5,
                    "timeoutSeconds": 60,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "containers": [
                        {
                            "image": IMAGE,
                            "ports": [{"containerPort": 3000}],
                            "readinessProbe": {"tcpSocket": {"port": 0}, "periodSeconds": 1},
                            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                            "resources": {
                                "requests": {"cpu": "50m", "memory": "1Gi"},
                                "limits": {"cpu": "500m", "memory": "1Gi"},
                            },
                            "command": ["/bin/sh"],
                            "args": ["-c", "serve"],
                        }
                    ],
                },
            },
            "traffic": [{"latestRevision": True, "percent": 100}],
        },
    }


def test_what_is_not_chosen_is_left_to_the_image() -> None:
    assert container() == {
        "image": IMAGE,
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 0}, "periodSeconds": 1},
        "env": [],
        "resources": {
            "requests": {"cpu": "100m", "memory": "512Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
    }


@pytest.mark.parametrize(
    ("cpu", "limit", "request_"),
    [
        ("1", "1", "100m"),
        ("0.5", "500m", "50m"),
        ("1.50", "1500m", "150m"),
        ("1000m", "1", "100m"),
        ("10m", "10m", "10m"),
        ("1.001", "1001m", "100m"),
        ("64", "64", "6400m"),
        ("10.0", "10", "1"),
    ],
)
def test_cpus_are_written_as_kubernetes_keeps_them(cpu: str, limit: str, request_: str) -> None:
    resources = container(cpu=cpu)["resources"]
    assert (resources["limits"]["cpu"], resources["requests"]["cpu"]) == (limit, request_)


@pytest.mark.parametrize(
    ("memory", "kept"),
    [
        ("512Mi", "512Mi"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1048576Ki", "1Gi"),
        ("1000M", "1G"),
        ("1000000k", "1G"),
        ("536870912", "536870912"),
        ("100000000", "100M"),
        ("1024M", "1024M"),
    ],
)
def test_memory_is_written_as_kubernetes_keeps_it(memory: str, kept: str) -> None:
    assert container(memory=memory)["resources"]["limits"]["memory"] == kept


def live(generation: int = 3, **settings: Any) -> Manifest:
    """What Knative 1.23 keeps of what was written, with its defaults and its bookkeeping."""
    made = copy.deepcopy(wanted(generation, **settings))
    made["metadata"] |= {
        "uid": "0b3c2c6e-0000-4000-8000-000000000001",
        "resourceVersion": "1234",
        "generation": 2,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "reconcile", "operation": "Update"}],
    }
    made["metadata"]["annotations"] |= {
        "serving.knative.dev/creator": "system:serviceaccount:mc-system:reconcile",
        "serving.knative.dev/lastModifier": "system:serviceaccount:mc-system:reconcile",
    }
    spec = made["spec"]["template"]["spec"]
    made["spec"]["template"]["metadata"]["creationTimestamp"] = None
    spec["containers"][0] |= {
        "name": "user-container",
        "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
    }
    if not spec["containers"][0]["env"]:
        del spec["containers"][0]["env"]
    made["status"] = {"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True"}]}
    return made


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


@pytest.mark.parametrize(
    ("annotation", "generation"), [("7", 7), ("", 0), ("x", 0), ("-1", 0), (None, 0)]
)
def test_the_generation_of_an_object(annotation: str | None, generation: int) -> None:
    thing = live()
    thing["metadata"]["annotations"]["maxcloud.dev/generation"] = annotation
    if annotation is None:
        del thing["metadata"]["annotations"]
    assert objects.generation_of(thing) == generation

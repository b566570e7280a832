"""From what Knative says of a service to what a user is told."""

from typing import Any

import pytest

from maxcloud.knative.objects import Manifest
from maxcloud.knative.status import Observed, is_ready, newest_revision, observe
from maxcloud.models import ServiceStatus
from tests.unit.observed import (
    FAILED,
    LATE,
    MADE,
    NOT_READY,
    PENDING,
    READY,
    UNKNOWN,
    condition,
    ksvc,
    revision,
)

NONE_READY = 'Configuration "shop" does not have any ready Revision.'

CASES: dict[str, tuple[Manifest, Manifest | None, tuple[ServiceStatus, str, str]]] = {
    "nothing said yet": (
        {"metadata": ksvc()["metadata"]},
        None,
        (PENDING, "RevisionCreated", ""),
    ),
    "made": (ksvc(UNKNOWN), None, (PENDING, "RevisionCreated", "")),
    "started, the route is still to come": (
        ksvc(
            condition("ConfigurationsReady", "True"),
            condition("Ready", "Unknown", "IngressNotConfigured", "not yet been reconciled"),
        ),
        None,
        (PENDING, "InstanceStarted", ""),
    ),
    "ready": (ksvc(condition("Ready", "True"), ready="shop-00002"), None, (READY, "", "")),
    "ready, but of an older spec": (
        ksvc(condition("ConfigurationsReady", "True"), condition("Ready", "True"), observed=1),
        None,
        (PENDING, "RevisionCreated", ""),
    ),
    "failed, but of an older spec": (
        ksvc(NOT_READY, observed=1),
        revision(condition("ContainerHealthy", "False", "ExitCode1", "x")),
        (PENDING, "RevisionCreated", ""),
    ),
    "the container stops, with its last words": (
        ksvc(NOT_READY),
        revision(
            condition("ResourcesAvailable", "Unknown", "Deploying"),
            condition(
                "ContainerHealthy",
                "False",
                "ExitCode3",
                "Container failed with: Traceback:\nKeyError: 'TOKEN'\n",
            ),
        ),
        (
            FAILED,
            "ExitCode3",
            "the container stopped with exit code 3 before it was ready; its last output:\n"
            "Traceback:\nKeyError: 'TOKEN'",
        ),
    ),
    "the container stops without a word": (
        ksvc(NOT_READY),
        revision(condition("ContainerHealthy", "False", "ExitCode137", "Container failed with: ")),
        (FAILED, "ExitCode137", "the container stopped with exit code 137 before it was ready"),
    ),
    "the image cannot be pulled": (
        ksvc(NOT_READY),
        revision(
            condition("ResourcesAvailable", "False", "ImagePullBackOff", 'Back-off pulling "x"')
        ),
        (FAILED, "ImagePullFailed", 'the image could not be pulled: Back-off pulling "x"'),
    ),
    "nothing answers on the port": (
        ksvc(NOT_READY),
        revision(
            condition(
                "ResourcesAvailable",
                "False",
                "ProgressDeadlineExceeded",
                "Initial scale was never achieved",
            )
        ),
        (
            FAILED,
            "NotListening",
            "the container runs, but nothing answered on port 3000 within 120 s: listen on $PORT "
            "and on all addresses, name the right port, or start faster",
        ),
    ),
    "no node has room": (
        ksvc(NOT_READY),
        revision(
            condition("ResourcesAvailable", "False", "Unschedulable", "0/1 nodes are available")
        ),
        (FAILED, "Unschedulable", "no node has room for an instance: 0/1 nodes are available"),
    ),
    "the quota is used up": (
        ksvc(NOT_READY),
        revision(
            condition(
                *("ResourcesAvailable", "False", "FailedCreate"),
                'pods "shop-00001-deployment-4pp7w" is forbidden: exceeded quota: tenant, '
                "requested: requests.memory=1056Mi, used: requests.memory=3Gi, "
                "limited: requests.memory=4Gi",
            )
        ),
        (
            FAILED,
            "QuotaExceeded",
            "the organisation's quota leaves no room for an instance: it needs "
            "requests.memory=1056Mi, and of requests.memory=4Gi there are requests.memory=3Gi "
            "in use",
        ),
    ),
    "a policy refuses the pod": (
        ksvc(NOT_READY),
        revision(condition("ResourcesAvailable", "False", "FailedCreate", "violates PodSecurity")),
        (
            FAILED,
            "FailedCreate",
            "the cluster refused to make an instance: violates PodSecurity",
        ),
    ),
    "a reason that we have no words for": (
        ksvc(NOT_READY),
        revision(condition("ContainerHealthy", "False", "ContainerMissing", "no such image")),
        (FAILED, "ContainerMissing", "no such image"),
    ),
    "a revision that is gone": (
        ksvc(NOT_READY),
        None,
        (FAILED, "RevisionFailed", NOT_READY["message"]),
    ),
    "a revision that got over it, before its service heard": (
        ksvc(condition("ConfigurationsReady", "False", "RevisionFailed", "it broke"), NOT_READY),
        revision(condition("ContainerHealthy", "True"), condition("Ready", "Unknown")),
        (PENDING, "RevisionCreated", ""),
    ),
    "a revision that got over it, before the routes heard": (
        ksvc(
            condition("ConfigurationsReady", "True"),
            condition("RoutesReady", "False", "RevisionMissing", NONE_READY),
            condition("Ready", "False", "RevisionMissing", NONE_READY),
            ready="shop-00002",
        ),
        revision(condition("Ready", "True")),
        (PENDING, "RevisionCreated", ""),
    ),
    "a revision that is well": (
        ksvc(condition("Ready", "False", "CertificateFailed", "no certificate")),
        revision(condition("ContainerHealthy", "True"), condition("Ready", "True")),
        (FAILED, "CertificateFailed", "no certificate"),
    ),
}


@pytest.mark.parametrize(("seen", "newest", "told"), CASES.values(), ids=CASES)
def test_what_the_cluster_says_is_told_in_words(
    seen: Manifest, newest: Manifest | None, told: tuple[ServiceStatus, str, str]
) -> None:
    ready = seen.get("status", {}).get("latestReadyRevisionName")
    assert observe(seen, newest, [], LATE) == Observed(7, (MADE, 1234), *told, ready)


def test_an_older_revision_goes_on_serving_while_the_newest_fails() -> None:
    seen = observe(ksvc(NOT_READY, ready="shop-00001"), None, [], LATE)
    assert (seen.status, seen.ready_revision) == (FAILED, "shop-00001")


@pytest.mark.parametrize(
    ("thing", "ready"),
    [
        (ksvc(), False),
        (ksvc(UNKNOWN), False),
        (ksvc(NOT_READY), False),
        (ksvc(condition("Ready", "True")), True),
        (ksvc(condition("Ready", "True"), observed=1), False),
    ],
)
def test_of_a_service_that_is_ready_nothing_more_is_asked(thing: Any, ready: bool) -> None:
    assert is_ready(thing) is ready


def test_the_newest_revision_is_named_once_it_is_made() -> None:
    assert newest_revision(ksvc()) == "shop-00002"
    assert newest_revision({"metadata": {}}) is None


LOST = 'Revision "shop-00001" referenced in traffic not found.'
NEVER = 'Revision "shop-00001" failed to become ready.'


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        (condition("RoutesReady", "True"), (READY, "", "")),
        (condition("RoutesReady", "Unknown"), (PENDING, "RevisionCreated", "")),
        (
            condition("RoutesReady", "False", "RevisionMissing", LOST),
            (PENDING, "RestoringRevision", "shop-00001 is made anew"),
        ),
        (
            condition("RoutesReady", "False", "RevisionMissing", NEVER),
            (
                FAILED,
                "RevisionMissing",
                "shop-00001 takes no traffic, because it never started: choose another",
            ),
        ),
    ],
)
def test_moved_traffic_waits_for_the_routes_alone(
    routes: dict[str, str], told: tuple[ServiceStatus, str, str]
) -> None:
    """The newest revision may have failed long ago."""
    moved = ksvc(routes, condition("ConfigurationsReady", "False"), NOT_READY)
    seen = observe(moved, None, [], MADE, only_routes=True)
    assert (seen.status, seen.reason, seen.message) == told
    assert is_ready(moved, only_routes=True) == (told[0] == READY)
    assert not is_ready(moved)

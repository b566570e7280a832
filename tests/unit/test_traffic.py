"""The rules of traffic: each line is a situation and what becomes of it."""

import pytest
from pydantic import ValidationError

from maxcloud import traffic
from maxcloud.traffic import LATEST, TrafficRequest, TrafficShare


def shares(text: str) -> list[TrafficShare]:
    """Read `latest=80 shop-00001=20:tag`."""
    found = []
    for word in text.split():
        revision, _, rest = word.partition("=")
        percent, _, tag = rest.partition(":")
        found.append(TrafficShare(revision=revision, percent=int(percent), tag=tag or None))
    return found


@pytest.mark.parametrize(
    ("before", "latest_ready", "after"),
    [
        ("latest=100", "s-2", "latest=100"),
        # A rollback, or a deploy without traffic, is taken back by the next deploy …
        ("s-1=100", "s-2", "latest=100"),
        ("s-1=100:old", "s-2", "latest=100 s-1=0:old"),
        # … and a split stays, as it stands.
        ("s-1=80 s-2=20", "s-2", "s-1=80 s-2=20"),
        ("s-1=80 latest=20", "s-2", "s-1=80 latest=20"),
        # A tag on the newest revision stays with that one, when it can serve.
        ("latest=100 latest=0:blue", "s-2", "latest=100 s-2=0:blue"),
        ("latest=100 latest=0:blue", None, "latest=100 latest=0:blue"),
        ("s-1=100 latest=0:blue", "s-2", "latest=100 s-2=0:blue"),
        ("s-1=50 s-2=50 latest=0:blue", "s-3", "s-1=50 s-2=50 s-3=0:blue"),
        # A tag on what is to be the newest always follows it.
        ("latest=100:live", "s-2", "latest=100:live"),
    ],
)
def test_what_a_deploy_makes_of_it(before: str, latest_ready: str | None, after: str) -> None:
    assert traffic.after_deploy(shares(before), latest_ready) == shares(after)


def test_a_new_revision_gets_nothing_of_what_is_pinned() -> None:
    now = shares("latest=60:live s-1=40")
    assert traffic.pinned(now, "s-2") == shares("s-2=60:live s-1=40")


@pytest.mark.parametrize(
    ("before", "percents", "tags", "untagged", "after"),
    [
        ("latest=100", {"s-1": 100}, {}, (), "s-1=100"),
        ("latest=100:live", {"s-1": 100}, {}, (), "s-1=100 latest=0:live"),
        ("latest=100", {"s-1": 20, "latest": 80}, {"old": "s-1"}, (), "s-1=20 latest=80 s-1=0:old"),
        ("s-1=60 s-2=40", None, {"a": "s-1"}, (), "s-1=60 s-2=40 s-1=0:a"),
        ("s-1=60:a s-2=40:b", None, {"b": "s-1"}, ("a",), "s-1=60 s-2=40 s-1=0:b"),
        ("latest=100", {"s-1": 100, "s-2": 0}, {}, (), "s-1=100"),
    ],
)
def test_percents_and_tags_are_arranged(
    before: str,
    percents: dict[str, int] | None,
    tags: dict[str, str],
    untagged: tuple[str, ...],
    after: str,
) -> None:
    assert traffic.arranged(shares(before), percents, tags, untagged) == shares(after)


@pytest.mark.parametrize(
    ("now", "latest_ready", "serving", "needed", "percent"),
    [
        ("latest=100", "s-2", "s-2", {"s-2"}, 100),
        ("latest=100", None, None, set(), 0),
        ("s-1=100", "s-2", "s-1", {"s-1"}, 0),
        ("s-1=30 latest=70 s-3=0:x", "s-2", "s-2", {"s-1", "s-2", "s-3"}, 70),
        ("s-2=30 latest=70", "s-2", "s-2", {"s-2"}, 100),
    ],
)
def test_what_traffic_means_for_revisions(
    now: str, latest_ready: str | None, serving: str | None, needed: set[str], percent: int
) -> None:
    assert traffic.serving(shares(now), latest_ready) == serving
    assert traffic.needed(shares(now), latest_ready) == needed
    assert traffic.percent_of(shares(now), "s-2", latest_ready) == percent


def test_shares_that_mean_nothing_are_left_out() -> None:
    assert traffic.tidied(shares("s-1=100 s-2=0 s-3=0:x")) == shares("s-1=100 s-3=0:x")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "percent must sum to 100, not 0"),
        ([{"revision": LATEST, "percent": 99}], "percent must sum to 100, not 99"),
        ([{"revision": "a", "percent": 50}, {"revision": "a", "percent": 50}], "listed twice"),
        (
            [
                {"revision": "a", "percent": 50, "tag": "t"},
                {"revision": "b", "percent": 50, "tag": "t"},
            ],
            "two revisions",
        ),
        ([{"revision": "a", "percent": 100, "tag": "a--b"}], "'--'"),
        ([{"revision": "a", "percent": 100, "tag": "A"}], "lower-case"),
        ([{"revision": "a", "percent": 100, "tag": "t" * 21}], "1 to 20 characters"),
        ([{"revision": "", "percent": 100}], "at least 1 character"),
        ([{"revision": LATEST, "percent": 101}], "less than or equal to 100"),
        ([{"revision": LATEST, "percent": "100"}], "valid integer"),
        ([{"revision": LATEST}], "required"),
        ([{"revision": LATEST, "percent": 100, "weight": 1}], "not permitted"),
        ([{"revision": f"r{n}", "percent": 0, "tag": f"t{n}"} for n in range(21)], "at most 20"),
    ],
)
def test_a_rule_that_is_broken_is_named(body: object, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TrafficRequest.model_validate(body)
    assert said in str(refused.value)

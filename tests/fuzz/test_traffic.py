"""Whatever a service's traffic is: it stays whole, and no tag is lost."""

from hypothesis import given
from hypothesis import strategies as st

from maxcloud import traffic
from maxcloud.traffic import LATEST, TrafficRequest, TrafficShare
from tests.fuzz import generated

REVISIONS = [LATEST, "shop-00001", "shop-00002", "shop-00003"]

latest_ready = st.sampled_from([None, *REVISIONS[1:]])


@st.composite
def shares(draw: st.DrawFn) -> list[TrafficShare]:
    """Traffic that the API takes."""
    revisions = draw(st.lists(st.sampled_from(REVISIONS), min_size=1, max_size=4, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(revisions) - 1, max_size=3)))
    cuts = cuts[: len(revisions) - 1]
    percents = [b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)]
    tags = draw(st.lists(generated.tags, min_size=len(revisions), max_size=6, unique=True))
    listed = [
        {"revision": revision, "percent": percent} | ({"tag": tag} if draw(st.booleans()) else {})
        for revision, percent, tag in zip(revisions, percents, tags, strict=False)
    ]
    more = [
        {"revision": draw(st.sampled_from(REVISIONS)), "percent": 0, "tag": tag}
        for tag in tags[len(revisions) :]
    ]
    return TrafficRequest.model_validate([*listed, *more]).root


def whole(changed: list[TrafficShare]) -> set[str]:
    """Check that traffic is one that the API takes, and return its tags."""
    kept = traffic.tidied(changed)
    TrafficRequest.model_validate([share.model_dump(exclude_none=True) for share in kept])
    return {share.tag for share in kept if share.tag}


def tags_of(listed: list[TrafficShare]) -> set[str]:
    return {share.tag for share in listed if share.tag}


@given(shares())
def test_what_means_nothing_is_left_out_and_nothing_else(listed: list[TrafficShare]) -> None:
    kept = traffic.tidied(listed)
    assert sum(share.percent for share in kept) == 100
    assert whole(listed) == tags_of(listed)


@given(shares(), latest_ready)
def test_a_deploy_takes_what_one_had_and_leaves_what_several_share(
    listed: list[TrafficShare], ready: str | None
) -> None:
    after = traffic.after_deploy(listed, ready)
    assert whole(after) == tags_of(listed)
    if traffic.is_split(listed):
        assert [share.percent for share in after] == [share.percent for share in listed]
    else:
        newest = "shop-00009"
        assert traffic.percent_of(after, newest, newest) == 100
    # A second deploy right after it changes nothing more.
    assert traffic.after_deploy(after, ready) == after


@given(shares(), st.sampled_from(REVISIONS[1:]))
def test_pinned_traffic_follows_nobody(listed: list[TrafficShare], ready: str) -> None:
    pinned = traffic.pinned(listed, ready)
    assert not traffic.follows_latest(pinned)
    for revision in REVISIONS[1:]:
        before = traffic.percent_of(listed, revision, ready)
        assert traffic.percent_of(pinned, revision, "shop-00009") == before


@given(shares(), st.sampled_from(REVISIONS[1:]))
def test_arranged_traffic_is_one_that_the_api_takes(listed: list[TrafficShare], ready: str) -> None:
    for before in (listed, traffic.pinned(listed, ready)):
        arranged = traffic.arranged(before)
        assert whole(arranged) == tags_of(listed)
        for revision in REVISIONS[1:]:
            part = traffic.percent_of(before, revision, ready)
            assert traffic.percent_of(arranged, revision, ready) == part


@given(shares(), st.sampled_from(REVISIONS[1:]))
def test_every_request_goes_to_one_revision(listed: list[TrafficShare], ready: str) -> None:
    assert sum(traffic.percent_of(listed, revision, ready) for revision in REVISIONS[1:]) == 100
    serves = {each for each in REVISIONS[1:] if traffic.percent_of(listed, each, ready)}
    assert traffic.serving(listed, ready) in serves
    assert serves <= traffic.needed(listed, ready)

import pytest

from maxcloud_local.serving.scaling import Autoscaler, Gauge, Rule, duration, rule_of

SCALE = "autoscaling.knative.dev/"


def rule(**changes: float) -> Rule:
    settings = {"concurrency": 0, "target": 70.0, "first": 1, "least": 0, "most": 0, "window": None}
    return Rule(**(settings | {"deadline": 600.0} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "annotations", "wanted"),
    [
        ({}, {}, rule()),
        ({"containerConcurrency": 10}, {}, rule(concurrency=10, target=7)),
        ({}, {SCALE + "target": "300"}, rule(target=210)),
        ({"containerConcurrency": 10}, {SCALE + "target": "5"}, rule(concurrency=10, target=3.5)),
        ({"containerConcurrency": 10}, {SCALE + "target": "50"}, rule(concurrency=10, target=7)),
        ({}, {SCALE + "min-scale": "2"}, rule(least=2, first=2)),
        ({}, {SCALE + "max-scale": "3"}, rule(most=3)),
        ({}, {SCALE + "initial-scale": "0"}, rule(first=0)),
        ({}, {SCALE + "initial-scale": "0", SCALE + "min-scale": "1"}, rule(least=1)),
        ({}, {SCALE + "window": "6s"}, rule(window=6)),
        ({}, {"serving.knative.dev/progress-deadline": "2m"}, rule(deadline=120)),
    ],
)
def test_a_revision_says_what_it_asks_for(
    spec: dict[str, int], annotations: dict[str, str], wanted: Rule
) -> None:
    assert rule_of(spec, annotations) == wanted


def test_the_cluster_may_ask_for_no_first_instance() -> None:
    annotation = {SCALE + "initial-scale": "2"}
    assert (rule_of({}, {}, 0).first, rule_of({}, annotation, 0).first) == (0, 2)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("1m30s", 90), ("1h0m0s", 3600), ("1.5s", 1.5), ("500ms", 0.5)]
    + [(text, None) for text in ("", "60", "s", "1 s", "-5s", "5sx", "None")],
)
def test_durations_are_read_as_go_writes_them(text: str, seconds: float | None) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("readings", "now", "ready", "waiting", "wanted"),
    [
        # Nobody came.
        ([], 0, 0, 0, 0),
        ([(t, 0) for t in range(60)], 60, 1, 0, 0),
        # A request that waits at zero counts at once, and so do many.
        ([], 0, 0, 1, 1),
        ([], 0, 0, 70, 1),
        ([], 0, 0, 71, 2),
        ([], 0, 0, 250, 4),
        # What waits beside a ready instance is in the readings and is not counted twice.
        ([], 0, 1, 250, 0),
        # One request in a minute keeps one instance.
        ([(t, 0) for t in range(1, 60)] + [(60, 0.01)], 60, 1, 0, 1),
        # Its reading has left the window.
        ([(0, 0.01), *[(t, 0) for t in range(1, 60)]], 60, 1, 0, 0),
        # The stable window decides: two for an average of a hundred, whatever the last seconds say.
        ([(t, 100) for t in range(60)], 60, 2, 0, 2),
        ([(t, 140) for t in range(54)] + [(t, 200) for t in range(54, 60)], 60, 2, 0, 3),
        # Twice what is ready within the panic window decides alone.
        ([(t, 0) for t in range(54)] + [(t, 280) for t in range(54, 61)], 60, 2, 0, 4),
        # Less than twice does not.
        ([(t, 70) for t in range(54)] + [(t, 210) for t in range(54, 61)], 60, 2, 0, 2),
    ],
)
def test_requests_ask_for_instances(
    readings: list[tuple[float, float]], now: float, ready: int, waiting: int, wanted: int
) -> None:
    autoscaler = Autoscaler(rule())
    for reading in readings:
        autoscaler.observe(*reading)
    assert autoscaler.wanted(now, window=60, ready=ready, waiting=waiting, least=0) == wanted


@pytest.mark.parametrize(
    ("most", "least", "waiting", "wanted"),
    [(0, 0, 7000, 100), (3, 0, 7000, 3), (3, 2, 0, 2), (0, 5, 1, 5), (0, 0, 0, 0)],
)
def test_the_number_stays_within_its_bounds(
    most: int, least: int, waiting: int, wanted: int
) -> None:
    autoscaler = Autoscaler(rule(most=most))
    assert autoscaler.wanted(0, window=60, ready=0, waiting=waiting, least=least) == wanted


def wanted_over(autoscaler: Autoscaler, ready: int, readings: dict[int, float]) -> list[int]:
    numbers = []
    for now, requests in readings.items():
        autoscaler.observe(now, requests)
        numbers.append(autoscaler.wanted(now, window=60, ready=ready, waiting=0, least=0))
    return numbers


def test_after_a_burst_nothing_goes_down_for_a_window() -> None:
    autoscaler = Autoscaler(rule())
    assert autoscaler.wanted(0, window=60, ready=0, waiting=250, least=0) == 4
    numbers = wanted_over(autoscaler, 4, dict.fromkeys(range(1, 61), 0.0))
    assert numbers == [4] * 59 + [0]


def test_load_that_ends_slowly_goes_down_with_the_average() -> None:
    autoscaler = Autoscaler(rule())
    wanted_over(autoscaler, 4, dict.fromkeys(range(60), 250.0))
    numbers = wanted_over(autoscaler, 4, dict.fromkeys(range(60, 121), 0.0))
    assert numbers == sorted(numbers, reverse=True)
    assert (numbers[0], numbers[30], numbers[-1]) == (4, 2, 0)


def test_an_instance_without_requests_stays_for_one_window() -> None:
    autoscaler = Autoscaler(rule())
    autoscaler.activated(10)
    numbers = [
        autoscaler.wanted(now, window=6, ready=1, waiting=0, least=0) for now in (10, 15.9, 16)
    ]
    assert numbers == [1, 1, 0]


def test_it_is_quiet_when_what_it_saw_is_forgotten() -> None:
    autoscaler = Autoscaler(rule())
    assert autoscaler.is_quiet()
    autoscaler.observe(1, 0.5)
    assert not autoscaler.is_quiet()
    autoscaler.wanted(61, window=60, ready=1, waiting=0, least=0)
    assert autoscaler.is_quiet()


def test_a_gauge_averages_over_time() -> None:
    gauge = Gauge(0)
    gauge.add(2, 1)
    gauge.add(-1, 2)
    assert gauge.read(4) == (2 + 2) / 4
    assert gauge.read(4) == 1
    gauge.add(-1, 5)
    assert gauge.read(14) == 0.1
    assert (gauge.read(15), gauge.count) == (0, 0)

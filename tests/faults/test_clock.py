"""The clock of a node is off by a minute, or is set back by one."""

from datetime import UTC, datetime

from tests.faults.faults import clock_off
from tests.faults.report import Report
from tests.faults.target import Target
from tests.faults.test_sources import KSVCS


def test_functions_on_nodes_whose_clocks_are_off(target: Target, report: Report) -> None:
    made, changed, gone = "clock-made", "clock-changed", "clock-gone"
    for name in (changed, gone):
        assert target.journal.create(name, target.backend.image).is_done
    target.agrees()
    with clock_off(target, {"services": 60, "reconcile": -60, "status": 60}):
        said = target.journal.get("/api/v1/services").headers["date"]
        assert 30 < (at(said) - datetime.now(UTC)).total_seconds() < 90
        assert target.journal.create(made, target.backend.image).is_done
        assert target.journal.patch(changed, env_vars={"N": "2"}).is_done
        assert target.journal.delete(gone).is_done
        target.sweep()
        report("functions' clocks off by a minute, either way", target.agrees())


def at(http_date: str) -> datetime:
    return datetime.strptime(http_date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)


def test_an_object_is_made_anew_after_the_clock_was_set_back(
    target: Target, report: Report
) -> None:
    """What the rows saw last was made by a clock that ran a minute ahead."""
    assert target.journal.create("set-back", target.backend.image).is_done
    target.agrees()
    target.rows(
        "update services set cluster_created = cluster_created + interval '1 minute'"
        " where name = 'set-back'"
    )
    target.backend.write("DELETE", f"{KSVCS}/set-back")
    assert target.journal.patch("set-back", env_vars={"N": "2"}).is_done
    target.sweep()
    report("the API server's clock was set back by 60 s", target.agrees())

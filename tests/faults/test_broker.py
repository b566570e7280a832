"""The broker is away: nobody hears of anything, and the rows are the outbox."""

from tests.faults.faults import broker_away
from tests.faults.report import Report
from tests.faults.target import Target


def test_what_was_deployed_and_deleted_meanwhile_comes_with_one_sweep(
    target: Target, report: Report
) -> None:
    before = [f"before-{number}" for number in range(5)]
    meanwhile = [f"meanwhile-{number:02}" for number in range(20)]
    for name in before:
        assert target.journal.create(name, target.backend.image).status == 201
    target.agrees()
    with broker_away(target):
        for name in meanwhile:
            assert target.journal.create(name, target.backend.image).status == 201
        for name in before:
            assert target.journal.delete(name).status == 204
        waiting = {
            row["name"] for row in target.rows("select name from services where status <> 'ready'")
        }
    assert waiting >= {*before, *meanwhile}
    target.sweep()
    report("broker away: 20 deployed, 5 deleted", target.agrees())

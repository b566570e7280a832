"""Nobody tells of what happens in the cluster, and no sweep comes, for a while."""

from tests.faults.faults import sources_away
from tests.faults.report import Report
from tests.faults.target import Target

KSVCS = "/apis/serving.knative.dev/v1/namespaces/default/services"


def test_what_happened_meanwhile_is_seen_with_the_next_sweep(
    target: Target, report: Report
) -> None:
    names = [f"unseen-{number}" for number in range(4)]
    for name in names:
        assert target.journal.create(name, target.backend.image).is_done
    target.agrees()
    changed, lost, patched, gone = names
    with sources_away(target):
        # Behind our back: one is changed by hand, one is deleted.
        traffic = [{"latestRevision": True, "percent": 100, "tag": "stray"}]
        target.backend.write("PATCH", f"{KSVCS}/{changed}", {"spec": {"traffic": traffic}})
        target.backend.write("DELETE", f"{KSVCS}/{lost}")
        assert target.journal.patch(patched, env_vars={"N": "2"}).is_done
        assert target.journal.delete(gone).is_done
    target.sweep()
    report("adapter and sweep away: changed and lost behind our back", target.agrees())

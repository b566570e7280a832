"""A name comes back while something late is still there under it."""

from uuid import uuid4

from maxcloud.config import DEV_ORG_ID
from maxcloud.knative import manifests
from maxcloud.knative.manifests import Wanted
from maxcloud.models import Template
from maxcloud.traffic import LATEST, TrafficShare
from tests.faults.report import Report
from tests.faults.target import Target
from tests.faults.test_sources import KSVCS


def test_what_a_late_handler_made_does_not_keep_the_name(target: Target, report: Report) -> None:
    """A handler creates the object when the row has been deleted, and is killed then."""
    journal, image = target.journal, target.backend.image
    dead = journal.create("late", image)
    target.agrees()
    [row] = target.rows("select * from services where name = 'late'")
    assert journal.delete("late").is_done
    target.agrees()
    template = Template(image=f"{image}@{row['digest']}", port=8080)
    shares = (TrafficShare(revision=LATEST, percent=100),)
    late = Wanted(row["id"], DEV_ORG_ID, "late", "default", 1, "late-00001", template, shares)
    target.backend.write("POST", KSVCS, manifests.service(late))
    assert dead.answer["id"] == str(row["id"])
    assert journal.create("late", image).is_done
    report("a name comes back beside a late object", target.agrees())
    [again] = target.rows("select status, generation from services where name = 'late'")
    assert again == {"status": "ready", "generation": dead.answer["generation"] + 2}


def test_an_object_of_somebody_else_keeps_its_name(target: Target) -> None:
    """No tombstone names it, so it is not ours to delete."""
    name = f"theirs-{uuid4().hex[:8]}"
    shares = (TrafficShare(revision=LATEST, percent=100),)
    template = Template(image=target.backend.image, port=8080)
    foreign = Wanted(uuid4(), uuid4(), name, "default", 1, f"{name}-00001", template, shares)
    manifest = manifests.service(foreign)
    target.backend.write("POST", KSVCS, manifest)
    assert target.journal.create(name, target.backend.image).is_done
    failed = target.until("the end", lambda: status(target, name) == ("failed", "Occupied"))
    assert failed < 60
    target.backend.write("DELETE", f"{KSVCS}/{name}")
    assert target.journal.delete(name).is_done
    target.agrees()


def status(target: Target, name: str) -> tuple[str, str]:
    [row] = target.rows("select status, reason from services where name = %s", name)
    return row["status"], row["reason"]

"""The Kubernetes API refuses, fails, or says nothing at all."""

from collections.abc import Iterator

import pytest

from tests.faults.between import SILENCE, Between
from tests.faults.report import Report
from tests.faults.target import Target

# What a user reads meanwhile.
TRYING_AGAIN = "the cluster cannot be reached; trying again"

# One call of ours (knative.cluster.CALL_SECONDS), and room for a slow machine.
ONE_CALL_SECONDS = 18


@pytest.fixture(scope="module")
def between(target: Target) -> Iterator[Between]:
    with target.backend.kubernetes_through_us() as between:
        yield between


def message(target: Target, name: str) -> str:
    [row] = target.rows("select message from services where name = %s", name)
    return str(row["message"])


@pytest.mark.parametrize("status", [401, 403, 409, 429, 500, 503, 504])
def test_what_was_asked_for_comes_when_the_api_is_well_again(
    target: Target, between: Between, report: Report, status: int
) -> None:
    made, changed, gone = (f"{word}-{status}" for word in ("made", "changed", "gone"))
    for name in (changed, gone):
        assert target.journal.create(name, target.backend.image).is_done
    target.agrees()
    before = len(between.asked)
    with between.answering(lambda method, path: status):
        assert target.journal.create(made, target.backend.image).is_done
        assert target.journal.patch(changed, env_vars={"N": "2"}).is_done
        assert target.journal.delete(gone).is_done
        refused = {f"/{name}" for name in (made, changed, gone)}
        target.until("refusals", lambda: refused <= asked_about(between, before))
        if status != 409:
            target.until("words", lambda: message(target, made) == TRYING_AGAIN)
    target.sweep()
    report(f"Kubernetes API answers {status}", target.agrees())


def asked_about(between: Between, since: int) -> set[str]:
    return {f"/{path.rpartition('/')[2]}" for _, path, status in between.asked[since:] if status}


def test_writes_that_are_refused_a_few_times(
    target: Target, between: Between, report: Report
) -> None:
    left = [409, 500, 409]

    def verdict(method: str, path: str) -> int | None:
        return left.pop() if method in {"POST", "PUT"} and left else None

    with between.answering(verdict):
        assert target.journal.create("insisting", target.backend.image).is_done
        report("Kubernetes API refuses three writes", target.agrees())
    assert left == []


def test_an_api_that_never_answers_holds_nobody_for_long(
    target: Target, between: Between, report: Report
) -> None:
    with between.answering(lambda method, path: SILENCE):
        assert target.journal.create("unheard", target.backend.image).is_done
        target.until("words", lambda: message(target, "unheard") == TRYING_AGAIN, ONE_CALL_SECONDS)
    target.sweep()
    report("Kubernetes API never answers", target.agrees())

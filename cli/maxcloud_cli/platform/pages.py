"""The state of a platform as a person reads it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from maxcloud_cli.output import table

# Two sweeps of an installation have been missed by then.
SWEEP_IS_LATE = timedelta(minutes=25)


def status(state: Mapping[str, Any], now: datetime) -> str:
    """Return the whole page."""
    return "\n\n".join(
        [
            ", ".join(f"{name} {version}" for name, version in state["versions"].items()),
            _functions(state),
            _parts(state),
            "\n".join(_rows(state, now)),
            _at_rest(state),
        ]
    )


def _functions(state: Mapping[str, Any]) -> str:
    head = ("FUNCTION", "SERVES", "INSTANCES", "HEALTH")
    return table(
        head,
        [
            (each["name"], each["revision"], str(each["instances"]), _health(each))
            for each in state["functions"]
        ],
    )


def _health(function: Mapping[str, Any]) -> str:
    if not function["ready"]:
        newest = function["newest"]
        stays = f"; {newest} is not ready" if newest != function["revision"] else ""
        return f"not ready{stays}: {function['why_not']}"
    if function["newest"] != function["revision"]:
        return f"rolled back from {function['newest']}"
    return "ready"


def _parts(state: Mapping[str, Any]) -> str:
    return table(
        ("PART", "NAME", "HEALTH"),
        [
            (each["kind"], each["name"], "ready" if each["ready"] else each["why_not"])
            for each in state["parts"]
        ],
    )


def _rows(state: Mapping[str, Any], now: datetime) -> list[str]:
    rows = state["rows"]
    if rows is None:
        return [f"The database was not asked: {state['rows_trouble']}"]
    lines = [f"last sweep: {_sweep(rows['last_sweep'], now)}"]
    lines.append(f"services on their way: {len(rows['waiting']) or 'none'}")
    lines += [f"  {_waiting(each)}" for each in rows["waiting"]]
    count = rows["dead_letter_count"]
    hint = " (maxcloud platform dead-letters)" if count else ""
    lines.append(f"dead letters: {count or 'none'}{hint}")
    lines.append(f"objects without a row: {len(state['orphans']) or 'none'}")
    lines += [f"  {each}" for each in state["orphans"]]
    lines.append(f"objects that cannot go: {len(state['held']) or 'none'}")
    lines += [f"  {each['kind']} {each['name']}: {each['by']}" for each in state["held"]]
    return lines


def _waiting(service: Mapping[str, Any]) -> str:
    stands = " ".join(filter(None, (service["status"], service["reason"])))
    said = f": {service['message']}" if service["message"] else ""
    return f"{service['name']}  {stands}, tried {service['attempts']} times{said}"


def _sweep(last: str | None, now: datetime) -> str:
    if last is None:
        return "none yet"
    age = now - datetime.fromisoformat(last).astimezone(UTC)
    late = ", which is late" if age > SWEEP_IS_LATE else ""
    return f"{age.total_seconds() / 60:.0f} min ago{late}"


def _at_rest(state: Mapping[str, Any]) -> str:
    found = state["at_rest"]
    known = [each["memory_mib"] for each in found if each["memory_mib"] is not None]
    rows = [
        (
            each["name"],
            each["namespace"],
            "" if each["memory_mib"] is None else f"{each['memory_mib']} MiB",
            each["why"],
        )
        for each in found
    ]
    rows.append(("in all", "", f"{sum(known)} MiB", ""))
    return table(("RUNS AT REST", "NAMESPACE", "MEMORY", "WHY"), rows)


def dead_letters(letters: list[Mapping[str, Any]]) -> str:
    """Return the table of dead letters."""
    head = ("ID", "TYPE", "SUBJECT", "CODE", "REFUSED BY", "AT")
    return table(
        head,
        [
            (
                each["id"],
                each["type"],
                each["subject"] or "",
                str(each["code"] or ""),
                each["destination"],
                each["received_at"][:16].replace("T", " "),
            )
            for each in letters
        ],
    )

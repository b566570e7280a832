import json
import logging
import sys
from datetime import datetime

import jwt

from maxcloud import keys, log


def line_of(level: int, message: str, *args: object, **extra: object) -> str:
    record = logging.LogRecord("x", level, __file__, 1, message, args, extra.pop("exc_info", None))  # type: ignore[arg-type]
    record.__dict__.update(extra)
    return log.JSONLines("services").format(record)


def test_a_record_is_one_line_of_json() -> None:
    line = line_of(logging.WARNING, "two\nlines of %s", "text \u2028 ü")
    assert "\n" not in line
    read = json.loads(line)
    assert datetime.fromisoformat(read.pop("time")).utcoffset() is not None
    assert read == {
        "severity": "warning",
        "message": "two\nlines of text \u2028 ü",
        "function": "services",
    }


def test_a_line_names_the_request_and_the_organisation() -> None:
    request, org = log.request_id.set("asked-1"), log.org_id.set("org-1")
    try:
        read = json.loads(line_of(logging.INFO, "x", fields={"status": 200, "absent": None}))
    finally:
        log.request_id.reset(request)
        log.org_id.reset(org)
    assert (read["request_id"], read["org_id"], read["status"]) == ("asked-1", "org-1", 200)
    assert "absent" not in read


def test_a_traceback_stays_in_its_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        line = line_of(logging.ERROR, "failed", exc_info=sys.exc_info())
    assert "\n" not in line
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_severities() -> None:
    levels = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]
    said = [json.loads(line_of(level, "x"))["severity"] for level in levels]
    assert said == ["debug", "info", "warning", "error", "error"]


def test_a_key_or_a_token_that_went_astray_is_cut() -> None:
    key = keys.make()
    token = jwt.encode({"sub": "x"}, "s" * 32, "HS256")
    read = json.loads(line_of(logging.INFO, f"GET /{key} {token}", fields={"said": key}))
    assert read["message"] == f"GET /{keys.prefix_of(key)}_[cut] [cut]"
    assert read["said"] == f"{keys.prefix_of(key)}_[cut]"

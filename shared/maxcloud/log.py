"""What a function writes: one JSON object per line, each naming the request it belongs to."""

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

# Set by the HTTP layer for the task that serves a request, read by every line written in it.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
org_id: ContextVar[str | None] = ContextVar("org_id", default=None)

# A key or a token that somebody put where none belongs, a path for example. Of a key its public
# prefix stays.
_SECRETS = re.compile(r"(mc_[a-z2-7]{12}_)[a-z2-7]{59}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]+")

_SEVERITIES = {"WARNING": "warning", "ERROR": "error", "CRITICAL": "error", "DEBUG": "debug"}


class JSONLines(logging.Formatter):
    """Formats a record as JSON; `extra={"fields": {...}}` adds fields to a line."""

    def __init__(self, function: str) -> None:
        super().__init__()
        self._function = function

    def format(self, record: logging.LogRecord) -> str:
        """Return one line without a line break in it."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "severity": _SEVERITIES.get(record.levelname, "info"),
            "message": record.getMessage(),
            "function": self._function,
            "request_id": request_id.get(),
            "org_id": org_id.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = json.dumps({key: value for key, value in line.items() if value is not None})
        return _SECRETS.sub(r"\1[cut]", text)


def configure(function: str, level: int) -> None:
    """Send every logger's lines to stdout as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JSONLines(function))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These say per request what our own line says better.
    for chatty in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

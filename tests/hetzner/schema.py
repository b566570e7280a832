"""Hetzner's published schema: whether an exchange is one that it describes.

The file is at https://docs.hetzner.cloud/cloud.spec.json. It is large and not ours, so it is not
kept here; HETZNER_SPEC names a copy.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema

from tests.hetzner.emulator import Exchange

Object = dict[str, Any]


class Schema:
    """The published document, for questions about one exchange at a time."""

    def __init__(self, path: Path) -> None:
        self._paths: Object = json.loads(path.read_text(encoding="utf-8"))["paths"]

    def check(self, exchange: Exchange) -> None:
        """Raise jsonschema.ValidationError for what the schema does not have."""
        [operation] = [
            methods[exchange.method.lower()]
            for template, methods in self._paths.items()
            if _fits(template, exchange.path) and exchange.method.lower() in methods
        ]
        if exchange.sent is not None:
            body = operation["requestBody"]["content"]["application/json"]["schema"]
            jsonschema.validate(exchange.sent, _closed(_plain(body)))
        responses = operation["responses"]
        status = str(exchange.status)
        if exchange.method == "DELETE" and status not in responses and "204" in responses:
            return  # a copy from before 2026-10-05, when a load balancer's got an action
        described = responses.get(status) or responses[f"{status[0]}xx"]
        if exchange.answer is not None:
            answer = described["content"]["application/json"]["schema"]
            jsonschema.validate(exchange.answer, _plain(answer))


def _fits(template: str, path: str) -> bool:
    # `/actions/{id}` beside `/{kind}/actions`: what is written out wins, and an id is a number.
    pattern = re.sub(r"\{\w+\}", r"\\d+", template)
    return re.fullmatch(pattern, path) is not None


def _plain(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` in JSON Schema's own words."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def _closed(schema: Object) -> Object:
    """A field that the schema does not name is a mistake of ours."""
    return {"additionalProperties": False, **schema}

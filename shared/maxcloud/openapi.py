"""The API's description, OpenAPI 3.1, written from the functions' own route tables.

The functions never import each other, so the document is made beforehand
(`python -m maxcloud.openapi functions`) and served as a file; a test holds the two together.
"""

import functools
import importlib.util
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.responses import HTMLResponse, Response

import maxcloud
from maxcloud import errors, idempotency, pages
from maxcloud.answers import ErrorBody
from maxcloud.http import Api
from maxcloud.models import Service
from maxcloud.routes import Route

_FILE = Path(__file__).parent / "openapi.json"
_REFS = "#/components/schemas/{model}"

_IF_MATCH = {
    "description": "The generation to change, as an ETag or a bare number; 412 when it is not.",
    "schema": {"type": "string", "pattern": '^("[0-9]+"|[0-9]+|[*])$'},
}
_PAGE: dict[str, dict[str, Any]] = {
    "limit": {
        "description": "How many entries a page has at the most.",
        "schema": {
            "type": "integer",
            "minimum": 1,
            "maximum": pages.LIMIT_MAX,
            "default": pages.LIMIT_DEFAULT,
        },
    },
    "cursor": {
        "description": "Where a page begins, from the `Link` of the one before.",
        "schema": {"type": "string"},
    },
}
_LINK = {
    "description": 'The next page, relative, as `<…>; rel="next"`; the last page has none.',
    "schema": {"type": "string"},
}
_IDEMPOTENCY_KEY = {
    "description": "The same key and body within 24 hours are carried out once: the answer is the "
    "same. A refusal is not kept. A key that came with another body is refused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}
_REPLAYED = {
    "description": "`true` on an answer that was given before to the same Idempotency-Key.",
    "schema": {"type": "string"},
}
_ETAG = {"description": "The generation, for If-Match.", "schema": {"type": "string"}}


@functools.cache
def document() -> dict[str, Any]:
    """Return the document as it was written for this version."""
    written: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return written


def describe(apis: Iterable[Api]) -> dict[str, Any]:
    """Return the OpenAPI document of several functions' routes."""
    routes = [(api.function, route) for api in apis for route in api.routes]
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(ErrorBody, "serialization")]
    models += [(route.body, "validation") for _, route in routes if route.body]
    _, definitions = models_json_schema(models, ref_template=_REFS)
    schemas: dict[str, Any] = definitions["$defs"]
    paths: dict[str, dict[str, Any]] = {}
    for function, route in sorted(routes, key=lambda pair: (pair[1].path, pair[1].method)):
        operation = _operation(function, route, schemas)
        there = paths.setdefault(route.template, {}).setdefault(route.method.lower(), operation)
        # Two functions answer one path by what a caller accepts.
        there["responses"] |= operation["responses"]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "max-cloud",
            "version": maxcloud.__version__.partition("+")[0],
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "https://api.maxcloud.dev"}, {"url": "http://localhost:8080"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def load(folder: Path) -> list[Api]:
    """Return the route tables of the function files in a folder."""
    apis = []
    for path in sorted(folder.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"function_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is no function")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        apis.append(module.api)
    return apis


def _operation(function: str, route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "tags": [function],
        "summary": (route.handler.__doc__ or "").strip().partition("\n")[0],
        "responses": {str(route.status): _answer(route, schemas), "default": _refusal()},
    }
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    if route.body:
        schema = {"$ref": _REFS.format(model=route.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {route.takes: {"schema": schema}}}
    if route.role:
        operation["security"] = [{"key": []}]
        operation["description"] = f"Least role: `{route.role}`."
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.template)
    ]
    if "if_match" in route.asks:
        found.append({"name": "If-Match", "in": "header", **_IF_MATCH})
    if route.takes_key:
        found.append({"name": idempotency.HEADER, "in": "header", **_IDEMPOTENCY_KEY})
    if route.pages:
        found += [{"name": name, "in": "query", **_PAGE[name]} for name in pages.PARAMETERS]
    if route.query:
        described = route.query.model_json_schema()["properties"]
        found += [{"name": name, "in": "query", "schema": described[name]} for name in described]
    return found


def _answer(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done."}
    headers: dict[str, Any] = {}
    if route.answer is Service:
        headers["ETag"] = _ETAG
    if route.pages:
        headers["Link"] = _LINK
    if route.takes_key:
        headers[idempotency.REPLAYED] = _REPLAYED
    if headers:
        answer["headers"] = headers
    if route.answer is type(None) or route.media is None:
        return answer
    schema: dict[str, Any] = {"type": "object"}
    if events := getattr(route.answer, "events", None):
        schema = _event(events, schemas)
    elif route.answer is HTMLResponse:
        schema = {"type": "string"}
    elif not (isinstance(route.answer, type) and issubclass(route.answer, Response)):
        schema = TypeAdapter(route.answer).json_schema(ref_template=_REFS, mode="serialization")
        schemas.update(schema.pop("$defs", {}))
        if name := schema.get("title"):
            schemas[name], schema = schema, {"$ref": _REFS.format(model=name)}
    return {**answer, "content": {route.media: {"schema": schema}}}


def _event(events: dict[str, type[BaseModel]], schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of each event of a stream; what is none of these carries nothing."""
    for model in events.values():
        found = model.model_json_schema(ref_template=_REFS, mode="serialization")
        schemas.update(found.pop("$defs", {}))
        schemas[model.__name__] = found
    carried: list[Any] = [{"$ref": _REFS.format(model=each.__name__)} for each in events.values()]
    carried.append({"const": {}})
    data = {"contentMediaType": "application/json", "contentSchema": {"anyOf": carried}}
    text = {"type": "string"}
    return {"type": "object", "properties": {"event": text, "id": text, "data": text | data}}


def _refusal() -> dict[str, Any]:
    codes = ", ".join(f"`{code}`" for code in errors.codes())
    schema = {"$ref": _REFS.format(model=ErrorBody.__name__)}
    return {
        "description": f"Refused; `code` is one of {codes}.",
        "content": {"application/json": {"schema": schema}},
    }


if __name__ == "__main__":
    text = json.dumps(describe(load(Path(sys.argv[1]))), indent=1, sort_keys=True)
    _FILE.write_text(text + "\n", encoding="utf-8")

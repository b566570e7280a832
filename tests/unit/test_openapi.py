import json
import subprocess
import sys
from pathlib import Path
from typing import get_origin

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from maxcloud import errors, openapi
from maxcloud.models import Service
from maxcloud.pages import PARAMETERS
from maxcloud.routes import Route
from tests.conftest import FUNCTIONS

ROUTES = [route for api in openapi.load(FUNCTIONS) for route in api.routes]
WRITTEN = openapi.describe(openapi.load(FUNCTIONS))


def test_the_document_that_is_served_is_that_of_the_routes() -> None:
    assert openapi.document() == WRITTEN, "run: make openapi"


def test_the_file_is_what_the_command_writes() -> None:
    """In a process of its own: what else was imported makes no difference."""
    code = (
        "import json, pathlib, sys; from maxcloud import openapi;"
        "apis = openapi.load(pathlib.Path(sys.argv[1]));"
        "print(json.dumps(openapi.describe(apis), indent=1, sort_keys=True))"
    )
    command = [sys.executable, "-c", code, str(FUNCTIONS)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert Path(openapi.__file__).with_suffix(".json").read_text(encoding="utf-8") == said


def test_the_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(WRITTEN).iter_errors()) == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_is_described(route: Route) -> None:
    operation = WRITTEN["paths"][route.template][route.method.lower()]
    assert operation["summary"].endswith(".")
    assert str(route.status) in operation["responses"]
    assert ("security" in operation) == (route.role is not None)
    assert ("requestBody" in operation) == (route.body is not None)
    if route.body:
        assert list(operation["requestBody"]["content"]) == [route.takes]
    parameters = operation.get("parameters", [])
    assert {each["name"] for each in parameters if each["in"] == "path"} == {
        part[1:-1] for part in route.template.split("/") if part.startswith("{")
    }
    for code in errors.codes():
        assert f"`{code}`" in operation["responses"]["default"]["description"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_what_a_service_answers_and_takes_in_headers_is_described(route: Route) -> None:
    operation = WRITTEN["paths"][route.template][route.method.lower()]
    changes = route.path.startswith("/api/v1/services/{id}") and route.method != "GET"
    taken = {each["name"] for each in operation.get("parameters", [])}
    assert ("If-Match" in taken) == ("if_match" in route.asks) == changes
    assert ("Idempotency-Key" in taken) == (route.method == "POST" and route.role is not None)
    sent = operation["responses"][str(route.status)].get("headers", {})
    assert ("ETag" in sent) == (route.answer is Service)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_list_comes_in_pages(route: Route) -> None:
    assert (get_origin(route.answer) is list) == (route.pages is not None)
    operation = WRITTEN["paths"][route.template][route.method.lower()]
    asked = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
    query = set(route.query.model_fields) if route.query else set()
    assert asked == (set(PARAMETERS) if route.pages else query)
    sent = operation["responses"][str(route.status)].get("headers", {})
    assert ("Link" in sent) == (route.pages is not None)


def test_names_of_operations_are_unique() -> None:
    names = [route.handler.__name__ for route in ROUTES]
    assert len(set(names)) == len(names)


def test_the_document_says_what_validation_enforces() -> None:
    schemas = WRITTEN["components"]["schemas"]
    assert schemas["DeployRequest"]["additionalProperties"] is False
    assert set(schemas["DeployRequest"]["required"]) == {"name", "image"}
    assert schemas["DeployRequest"]["properties"]["name"]["maxLength"] == 40
    assert set(schemas["ErrorBody"]["required"]) == {"error", "code", "request_id"}
    assert json.dumps(WRITTEN).count("127.0.0.1") == 0

"""Every operation of the running platform, with what its own description lets one send, and not."""

import copy
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import requests
import schemathesis
from hypothesis import settings
from hypothesis.strategies import SearchStrategy, just, sampled_from
from schemathesis import Case, HookContext
from schemathesis.config import SchemathesisConfig

from maxcloud import openapi
from maxcloud.fields import IMAGE_PATTERN
from tests.functions.support import leaks
from tests.fuzz.conftest import NAMES, NO_IMAGE
from tests.fuzz.profiles import REQUESTS
from tests.journeys.platform import eventually
from tests.local.backend import Engine


def described() -> dict[str, Any]:
    """The API's description as it holds in DEV_MODE, where nobody needs a credential."""
    document = copy.deepcopy(openapi.document())
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    return document


def configured(document: dict[str, Any]) -> SchemathesisConfig:
    # An operation without input is asked once.
    taking = [
        operation
        for operations in document["paths"].values()
        for operation in operations.values()
        if operation.keys() & {"parameters", "requestBody"}
    ]
    is_quick = settings().derandomize
    each = settings().max_examples if is_quick else REQUESTS // len(taking) + 1
    return SchemathesisConfig.from_dict(
        {
            "generation": {"max-examples": each, "deterministic": is_quick, "database": "none"},
            "checks": {
                "negative_data_rejection": {"expected-statuses": ["4xx"]},
                # Rules over several fields (min_scale and max_scale) are in no schema.
                "positive_data_acceptance": {"enabled": False},
            },
        }
    )


Sent = Case[Any]

DOCUMENT = described()
schema = schemathesis.openapi.from_dict(DOCUMENT, config=configured(DOCUMENT))


@schema.hook
def flatmap_case(context: HookContext, case: Sent) -> SearchStrategy[Sent]:
    """Let requests that are as described meet what is there, and look up no image outside."""
    if isinstance(case.body, dict) and re.fullmatch(IMAGE_PATTERN, str(case.body.get("image"))):
        case.body["image"] = NO_IMAGE
    if case.query and case.query.get("follow") not in {None, False, "false", "0"}:
        del case.query["follow"]  # what has no end cannot be waited for
    if case.meta is None or case.meta.generation.mode.is_negative:
        return just(case)
    return sampled_from(NAMES).map(lambda name: called(case, name)) | just(case)


def called(case: Sent, name: str) -> Sent:
    """Aim a request at the service of this name, with what no schema says left as it is."""
    if "id" in case.path_parameters:
        case.path_parameters["id"] = name
    body: Any = case.body
    if isinstance(body, dict):
        usual: dict[str, Any] = {
            "name": name,
            "memory": "512Mi",
            "cpu": "1",
            "min_scale": 0,
            "traffic": None,
        }
        body |= {field: value for field, value in usual.items() if field in body}
    elif isinstance(body, list):
        case.body = [{**share, "revision": "latest", "percent": 100} for share in body[:1]]
    return case


@pytest.fixture(scope="module")
def answered() -> Iterator[Counter[str]]:
    """How often each operation answered what."""
    counted: Counter[str] = Counter()
    yield counted
    print(f"\n{counted.total()} generated requests")
    for line, times in sorted(counted.items()):
        print(f"{times:6} {line}")


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _some_are_there(fuzzed: Engine) -> None:
    """What the last operation deleted is there again for the next."""
    with httpx.Client(base_url=fuzzed.api_url, timeout=60) as client:

        def create(name: str) -> object:
            body = {"name": name, "image": NO_IMAGE}
            return client.post("/api/v1/services", json=body).json().get("code")

        for name in NAMES:
            eventually(name, partial(create, name), 30, lambda code: code in {None, "name_taken"})


@schema.parametrize()
def test_whatever_is_sent_the_answer_is_as_described(
    case: Sent, fuzzed: Engine, session: requests.Session, answered: Counter[str]
) -> None:
    answer = case.call(base_url=fuzzed.api_url, session=session, timeout=30)
    answered[f"{answer.status_code} {case.method} {case.path}"] += 1
    assert answer.status_code < 500, answer.text
    said = f"{answer.headers} {'' if case.path.endswith('/openapi.json') else answer.text}"
    assert not leaks(said, sent=f"{unquote(str(answer.request.url))} {answer.request.body!r}"), said
    case.validate_response(answer)


def test_what_is_generated_reaches_the_rows(answered: Counter[str]) -> None:
    """A fuzz whose every request is refused at the door tests the door alone."""
    for line in (
        "201 POST /api/v1/services",
        "200 PATCH /api/v1/services/{id}",
        "200 GET /api/v1/services/{id}",
        "204 DELETE /api/v1/services/{id}",
        "404 GET /api/v1/services/{id}",
        "200 PUT /api/v1/services/{id}/traffic",
        "200 GET /api/v1/logs/{id}",
        "400 POST /api/v1/services",
    ):
        assert answered[line], f"never: {line}"

"""Whatever arrives where events arrive is handled or refused, and never comes back for ever."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxcloud.events import Type
from maxcloud.http import Api
from maxcloud.store.database import Database
from tests.conftest import Postgres, cloned, dev_config, served

PATHS = [("reconcile", "/"), ("reconcile", "/dead-letters"), ("status", "/"), ("status", "/hints")]

# The timer's needs a cluster.
TYPES = [*Type, "dev.knative.apiserver.ref.update", "dev.knative.apiserver.ref.delete", "", "x"]


@pytest.fixture(scope="module")
def consumers(
    postgres: Postgres, template: str, apis: dict[str, Api]
) -> Iterator[dict[str, httpx.Client]]:
    """Clients of the functions that take events."""
    with ExitStack() as stack:
        database = stack.enter_context(cloned(postgres, template))
        clients = {}
        for name in ("reconcile", "status"):
            db = Database(database.worker)
            url = stack.enter_context(served(apis[name].build(dev_config(), db), after=db.close))
            clients[name] = stack.enter_context(httpx.Client(base_url=url))
        yield clients


def header_safe(text: str) -> str:
    return re.sub(r"[^ -~]", "", text).strip()


# Any text that JSON can spell, lone surrogates too.
words = st.text(max_size=20) | st.sampled_from(["\x00", "\ud800", "a" * 5000, "9" * 30])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
)
ids = st.uuids().map(str) | words
hints = st.fixed_dictionaries(
    {"id": ids, "org_id": ids},
    optional={"name": scalars, "generation": scalars, "kind": words, "namespace": words},
)
references = st.fixed_dictionaries({"kind": words, "name": words, "namespace": words})
data = hints | references | values

paths = st.sampled_from(PATHS)
types = st.sampled_from(TYPES)
extensions = st.dictionaries(
    st.sampled_from(
        [
            "requestid",
            "orgid",
            "subject",
            "knativeerrorcode",
            "knativeerrordest",
            "knativeerrordata",
        ]
    ),
    words,
)


def assert_settled(answer: httpx.Response) -> None:
    assert answer.status_code in {204, 400}, answer.status_code
    assert answer.content == b""


@given(paths, types, data, extensions)
def test_an_event_in_headers(
    consumers: dict[str, httpx.Client],
    path: tuple[str, str],
    type: str,
    data: Any,
    extensions: dict[str, str],
) -> None:
    said = {"specversion": "1.0", "id": "1", "source": "/x", "type": type} | extensions
    headers = {f"ce-{name}": header_safe(value) for name, value in said.items()}
    headers["content-type"] = "application/json"
    function, where = path
    body = json.dumps(data).encode()
    assert_settled(consumers[function].post(where, content=body, headers=headers))


@given(paths, types, data, extensions | st.dictionaries(words, values, max_size=2))
def test_an_event_in_the_body(
    consumers: dict[str, httpx.Client],
    path: tuple[str, str],
    type: str,
    data: Any,
    extensions: dict[str, Any],
) -> None:
    said = {"specversion": "1.0", "id": "1", "source": "/x", "type": type, "data": data}
    function, where = path
    body = json.dumps(said | extensions | {"type": type}).encode()
    headers = {"content-type": "application/cloudevents+json"}
    assert_settled(consumers[function].post(where, content=body, headers=headers))


@given(paths, st.binary(max_size=200), st.sampled_from(["application/json", "text/plain", "x", ""]))
def test_bytes_that_are_no_event(
    consumers: dict[str, httpx.Client], path: tuple[str, str], body: bytes, media: str
) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "x"}
    function, where = path
    headers["content-type"] = media
    assert_settled(consumers[function].post(where, content=body, headers=headers))

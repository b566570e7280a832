"""What the fields' rules let through can be used, whatever it is."""

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from maxcloud import fields, names
from maxcloud.models import ServiceSettings, UpdateRequest, merge
from maxcloud.references import Reference
from tests.fuzz import generated
from tests.fuzz.generated import DIGEST

# RFC 1035, section 2.3.1: what Kubernetes takes for the name of a Service.
LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")

anything = st.text("abc019-", max_size=45) | st.text()


@given(generated.service_names)
def test_a_name_is_a_host_and_the_beginning_of_a_revision(name: str) -> None:
    assert LABEL.fullmatch(name)
    assert names.as_id(name) is None
    for generation in (1, 99_999, 10**9):
        assert LABEL.fullmatch(names.revision_name(name, generation))


@given(generated.service_names, generated.tags)
def test_a_tag_and_a_name_are_one_label_that_comes_apart_again(name: str, tag: str) -> None:
    host = names.tag_url(name, tag, "localhost").removeprefix("http://").partition(".")[0]
    assert LABEL.fullmatch(host)
    assert host.split("--") == [name, tag]


@given(anything)
def test_what_is_no_name_is_refused_in_a_sentence(name: str) -> None:
    wrong = names.why_not_a_name(name)
    if wrong is None:
        assert LABEL.fullmatch(name)
    else:
        assert re.fullmatch(r"(must |'[a-z0-9-]+' is reserved)[^\n]+", wrong)


@given(st.uuids().map(str) | st.from_regex(r"[0-9a-f-]{30,38}") | anything)
def test_text_is_an_id_only_as_it_is_spelt(text: str) -> None:
    id = names.as_id(text)
    assert id is None or str(id) == text
    assert id is None or names.why_not_a_name(text)


@given(st.from_regex(fields.IMAGE_PATTERN, fullmatch=True))
def test_an_image_is_taken_apart_and_pinned(text: str) -> None:
    reference = Reference.parse(text)
    pinned = Reference.parse(reference.pinned(DIGEST))
    assert re.fullmatch(fields.IMAGE_PATTERN, reference.pinned(DIGEST))
    assert (pinned.host, pinned.repository) == (reference.host, reference.repository)
    assert pinned.digest == DIGEST


@given(st.text("ab/:.@-_0A \n[]", max_size=30))
def test_text_that_is_taken_for_an_image_is_one(text: str) -> None:
    try:
        TypeAdapter(fields.Image).validate_python(text)
    except ValidationError:
        return
    assert not set(text) & set(" \n[]")
    reference = Reference.parse(text)
    assert reference.repository == reference.repository.lower()
    assert reference.host


@given(st.dictionaries(anything, anything, max_size=5))
def test_variables_that_are_taken_can_be_an_environment(env: dict[str, str]) -> None:
    try:
        taken = ServiceSettings(env_vars=env).env_vars
    except ValidationError:
        return
    assert taken == env
    for key, value in env.items():
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key)
        assert key != "PORT"
        assert not key.startswith("K_")
        assert "\x00" not in value


FIELDS = list(ServiceSettings.model_fields)


@st.composite
def patches(draw: st.DrawFn) -> dict[str, Any]:
    """A merge patch: some settings, some nulls, some variables to delete."""
    patch = draw(generated.some_settings)
    patch |= dict.fromkeys(draw(st.sets(st.sampled_from(FIELDS), max_size=3)))
    if patch.get("env_vars"):
        gone = draw(st.sets(generated.env_keys | st.sampled_from(list(patch["env_vars"]))))
        patch["env_vars"] |= dict.fromkeys(gone)
    return patch


def rfc_7396(target: Any, patch: Any) -> Any:
    """The RFC's own algorithm, section 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = rfc_7396(merged.get(name), value)
    return merged


@given(generated.settings, patches())
def test_a_patch_is_merged_as_the_rfc_says(current: ServiceSettings, patch: dict[str, Any]) -> None:
    sent = UpdateRequest(**patch).model_dump(exclude_unset=True)
    assert merge(current, sent) == ServiceSettings().model_dump() | rfc_7396(
        current.model_dump(), patch
    )


@given(generated.settings, patches())
def test_a_patch_that_was_merged_changes_nothing_a_second_time(
    current: ServiceSettings, patch: dict[str, Any]
) -> None:
    assume(generated.valid(merge(current, patch)))
    once = ServiceSettings(**merge(current, patch))
    assert merge(once, patch) == once.model_dump()


@pytest.mark.parametrize("field", FIELDS)
def test_null_brings_back_the_default(field: str) -> None:
    current = ServiceSettings(port=1, env_vars={"A": "1"}, args=["x"], cpu="2", min_scale=1)
    assert merge(current, {field: None})[field] == getattr(ServiceSettings(), field)

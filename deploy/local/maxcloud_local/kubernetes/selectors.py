"""Label and field selectors: which objects a list or a watch is about.

The grammar is that of k8s.io/apimachinery/pkg/labels, without `>` and `<`.
"""

import re
from collections.abc import Callable, Mapping

from maxcloud_local.kubernetes.refusals import BadRequest
from maxcloud_local.store import Object

Selection = Callable[[Object], bool]
_Requirement = Callable[[Mapping[str, str]], bool]

MOST_IN_A_LABEL = 63
LABEL_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)?"
_KEY = r"(?P<key>[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?)"

_BETWEEN = re.compile(r",(?![^(]*\))")
_PRESENT = re.compile(rf"(?P<absent>!?)\s*{_KEY}")
_EQUAL = re.compile(rf"{_KEY}\s*(?P<how>!=|==?)\s*(?P<value>{LABEL_VALUE})")
_AMONG = re.compile(rf"{_KEY}\s+(?P<how>in|notin)\s*\((?P<values>[^()]*)\)")
_FIELD = re.compile(r"metadata\.(?P<field>name|namespace)\s*(?P<how>!=|==?)\s*(?P<value>[^=!]*)")


def selection(labels: str, fields: str) -> Selection:
    """Return what tells whether an object is meant; an empty selector means every one.

    Raises BadRequest for what cannot be parsed or is not supported.
    """
    of_labels = [_label_requirement(part.strip()) for part in _parts(labels)]
    of_fields = [_field_requirement(part.strip()) for part in _parts(fields)]

    def is_meant(candidate: Object) -> bool:
        metadata = candidate["metadata"]
        has = metadata.get("labels", {})
        return all(meets(has) for meets in of_labels) and all(
            meets(metadata) for meets in of_fields
        )

    return is_meant


def _parts(selector: str) -> list[str]:
    return _BETWEEN.split(selector) if selector.strip() else []


def _label_requirement(part: str) -> _Requirement:
    if found := _PRESENT.fullmatch(part):
        key, wanted = found["key"], not found["absent"]
        return lambda has: (key in has) == wanted
    if found := _EQUAL.fullmatch(part):
        return _among(found["key"], {found["value"]}, wanted=found["how"] != "!=")
    if found := _AMONG.fullmatch(part):
        values = {value.strip() for value in found["values"].split(",")}
        if all(re.fullmatch(LABEL_VALUE, value) for value in values):
            return _among(found["key"], values, wanted=found["how"] == "in")
    raise BadRequest(f'unable to parse requirement: "{part}"')


def _field_requirement(part: str) -> _Requirement:
    if found := _FIELD.fullmatch(part):
        return _among(found["field"], {found["value"]}, wanted=found["how"] != "!=")
    raise BadRequest(f'field label not supported: "{part}"')


def _among(key: str, values: set[str], *, wanted: bool) -> _Requirement:
    # What has no such label is not equal to anything: `!=` and `notin` are true of it.
    return lambda has: (key in has and has[key] in values) == wanted

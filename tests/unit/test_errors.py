import re

import pytest

from maxcloud import errors
from maxcloud.errors import APIError, MaxCloudError


def ours(parent: type[MaxCloudError]) -> list[type[MaxCloudError]]:
    """The classes below `parent` that errors.py declares."""
    found = [child for child in parent.__subclasses__() if child.__module__ == errors.__name__]
    return [cls for child in found for cls in (child, *ours(child))]


ANSWERS: list[type[APIError]] = [cls for cls in ours(APIError) if issubclass(cls, APIError)]


def test_a_code_belongs_to_one_class() -> None:
    codes = [cls.code for cls in ANSWERS]
    assert len(set(codes)) == len(codes)
    assert errors.codes() == sorted(codes)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+)(?: +(\d{3})  (\w+))?", errors.__doc__ or "")
    assert sorted(name for name, *_ in drawn) == sorted(cls.__name__ for cls in ours(MaxCloudError))
    by_name = {cls.__name__: (str(cls.status), cls.code) for cls in ANSWERS}
    assert {name: (status, code) for name, status, code in drawn if code} == by_name


@pytest.mark.parametrize("cls", ANSWERS)
def test_an_answer_raises_the_class_that_it_came_from(cls: type[APIError]) -> None:
    again = APIError.for_answer(cls.status, cls.code, "said", field="name", request_id="1")
    assert type(again) is cls
    assert (again.message, again.field, again.request_id) == ("said", "name", "1")
    assert (again.status_code, again.error_code, str(again)) == (cls.status, cls.code, "said")


@pytest.mark.parametrize(
    ("status", "cls"),
    [(409, errors.Conflict), (400, errors.MalformedRequest), (404, errors.NotFound)],
)
def test_a_code_of_a_newer_api_falls_back_to_its_status(status: int, cls: type[APIError]) -> None:
    again = APIError.for_answer(status, "made_up", "said")
    assert type(again) is cls
    assert (again.status_code, again.error_code) == (status, "made_up")


def test_an_unknown_status_is_the_root() -> None:
    assert type(APIError.for_answer(418, "teapot", "said")) is APIError

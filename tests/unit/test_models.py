from typing import Any

import pytest

from maxcloud.models import Service, ServiceSettings, UpdateRequest, merge

CURRENT = ServiceSettings(port=80, args=["a"], env_vars={"A": "1", "B": "2"}, min_scale=1)


@pytest.mark.parametrize(
    ("patch", "changed"),
    [
        ({}, {}),
        ({"port": None}, {"port": 0}),
        ({"port": 81}, {"port": 81}),
        ({"args": ["b", "c"]}, {"args": ["b", "c"]}),
        ({"args": None}, {"args": []}),
        ({"env_vars": {"B": None, "C": "3"}}, {"env_vars": {"A": "1", "C": "3"}}),
        ({"env_vars": {}}, {}),
        ({"env_vars": None}, {"env_vars": {}}),
        ({"min_scale": None, "max_scale": 2}, {"min_scale": 0, "max_scale": 2}),
        ({"cpu": None, "memory": None}, {}),
    ],
)
def test_a_merge_patch(patch: dict[str, Any], changed: dict[str, Any]) -> None:
    assert merge(CURRENT, patch) == CURRENT.model_dump() | changed
    assert CURRENT.env_vars == {"A": "1", "B": "2"}


def test_a_patch_can_say_everything_that_a_deploy_can_but_the_name() -> None:
    beside = {"image", "traffic"}
    assert set(UpdateRequest.model_fields) == {*ServiceSettings.model_fields, *beside}


def test_a_client_ignores_what_a_newer_api_adds() -> None:
    assert Service.model_config["extra"] == "ignore"
    assert ServiceSettings.model_config["extra"] == "forbid"

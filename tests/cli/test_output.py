import json
from typing import Any

import pytest
import yaml

from maxcloud.models import Revision, Service, ServiceEvent
from maxcloud_cli.output import Format, as_data
from maxcloud_cli.pages import events_table, service_page, services_table
from tests.cli import scripted


def service(**changes: Any) -> Service:
    return Service.model_validate(scripted.service(**changes))


def test_services_are_a_table() -> None:
    broken = service(name="api", status="failed", ready_revision="api-00003", url="http://api.x")
    new = service(name="new", status="failed", ready_revision=None)
    assert services_table([service(), broken, new]).splitlines() == [
        "NAME  IMAGE       STATUS                      URL",
        "shop  nginx:1.29  ready                       http://shop.localhost:8080",
        "api   nginx:1.29  failed (serving api-00003)  http://api.x",
        "new   nginx:1.29  failed                      http://shop.localhost:8080",
    ]
    assert services_table([]) == "NAME  IMAGE  STATUS  URL"


def test_a_page_tells_all_of_a_service() -> None:
    broken = service(
        status="failed",
        reason="ExitCode1",
        message="exit code 1\nsecond\x1b[31m line\x07",
        command=["sh", "-c", "a, b"],
        env_vars={"A": "1", "B": "2"},
        concurrency=0,
    )
    revisions = [scripted.revision(2), scripted.revision(1, traffic=100)]
    models = [Revision.model_validate(each) for each in revisions]
    page = service_page(broken, models, (), ["2 ready (shop-00002)", "1 stopping (shop-00001)"])
    lines = page.splitlines()
    for line in [
        "Status:           failed (serving shop-00001)",
        "Reason:           ExitCode1",
        "Message:          exit code 1",
        "                  second\N{REPLACEMENT CHARACTER}[31m line\N{REPLACEMENT CHARACTER}",
        'Command:          ["sh", "-c", "a, b"]',
        "Environment:      A=1",
        "                  B=2",
        "Instances now:    2 ready (shop-00002)",
        "                  1 stopping (shop-00001)",
        "Concurrency:      no limit",
        "Created:          2026-11-22 12:00:00 UTC",
        "latest      100 %",
        "shop-00001  100 %    no     nginx:1.29  sha256:1a2b3c4d5e6f  2026-11-22 12:00  "
        "ada@example.com",
    ]:
        assert line in lines
    fields_of_tables = {"traffic"}
    labels = {"url": "URL", "id": "ID", "org_id": "Organisation", "env_vars": "Environment"}
    labels |= {"min_scale": "Instances", "max_scale": "Instances", "cpu": "CPU"}
    labels |= {"timeout_seconds": "Timeout", "created_at": "Created", "updated_at": "Updated"}
    labels |= {"observed_generation": "Generation"}
    for field in set(Service.model_fields) - fields_of_tables:
        label = labels.get(field, field.replace("_", " ").capitalize())
        assert f"{label}:" in page, f"{field} is not shown"


@pytest.mark.parametrize(
    ("form", "read"), [(Format.JSON, json.loads), (Format.YAML, yaml.safe_load)]
)
def test_data_for_scripts_is_what_the_api_sent(form: Format, read: Any) -> None:
    data = service(message="ünïcode").model_dump(mode="json")
    assert read(as_data(data, form)) == data


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"generation": 3, "observed_generation": 3},
            ["generation 3) is in place", "shop-00001 is ready", "shop-00001 serves most"],
        ),
        (
            {"generation": 3, "observed_generation": 2, "status": "pending", "reason": "Accepted"},
            ["generation 3) is on its way, waiting for the image"],
        ),
        (
            {"status": "failed", "latest_revision": "shop-00002"},
            ["failed", "shop-00002 is not ready", "shop-00001 serves most of the requests"],
        ),
        ({"latest_revision": None, "ready_revision": None}, ["there is no revision yet"]),
    ],
)
def test_conditions_are_told_in_words(changes: dict[str, Any], told: list[str]) -> None:
    page = service_page(service(**changes), [])
    for words in told:
        assert words in page


def test_events_are_told_in_words() -> None:
    event = {"at": "2026-11-22T12:00:00Z", "generation": 2, "message": "", "by": "ada"}
    events = [
        ServiceEvent.model_validate(event | changes)
        for changes in (
            {"status": "failed", "reason": "ExitCode1", "message": "exit code 1\nlast line"},
            {"status": "ready", "reason": ""},
            {"status": "pending", "reason": "ImageResolved"},
            {"status": "pending", "reason": "OfANewerAPI"},
        )
    ]
    lines = events_table(events).splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == [
        *("failed: ExitCode1", "ready", "image resolved", "OfANewerAPI")
    ]
    assert lines[1].endswith("exit code 1")

import json
from typing import Any

import pytest
import yaml

from maxcloud.models import Revision, Service
from maxcloud_cli.output import Format, as_data
from maxcloud_cli.pages import service_page, services_table
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
    page = service_page(broken, [Revision.model_validate(each) for each in revisions])
    lines = page.splitlines()
    for line in [
        "Status:           failed (serving shop-00001)",
        "Reason:           ExitCode1",
        "Message:          exit code 1",
        "                  second\N{REPLACEMENT CHARACTER}[31m line\N{REPLACEMENT CHARACTER}",
        'Command:          ["sh", "-c", "a, b"]',
        "Environment:      A=1",
        "                  B=2",
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

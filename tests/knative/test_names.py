"""A name is a host name, so it is given once over all organisations."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from tests.cluster.inside import database_url
from tests.journeys.platform import Platform


@pytest.fixture
def foreign() -> Iterator[str]:
    """A service of another organisation, which the cluster's one tenant cannot see."""
    name, org_id = f"k-{uuid.uuid4().hex[:8]}", uuid.uuid4()
    with psycopg.connect(database_url("owner"), autocommit=True) as connection:
        connection.execute("insert into organizations (id, name) values (%s, 'other')", [org_id])
        connection.execute(
            "insert into services (org_id, name, image, status, observed_generation)"
            " values (%s, %s, 'nginx', 'ready', 1)",
            [org_id, name],
        )
        yield name
        connection.execute("delete from services where org_id = %s", [org_id])
        connection.execute("delete from organizations where id = %s", [org_id])


def test_a_name_that_somebody_else_has(platform: Platform, foreign: str) -> None:
    refused = platform.maxcloud("deploy", "nginx", "--name", foreign, code=1)
    assert "conflict: service name already exists" in refused.err
    assert "choose another --name" in refused.err
    assert platform.api("GET", f"/api/v1/services/{foreign}").status_code == 404
    assert foreign not in platform.maxcloud("list").out

"""What the engine keeps of organisations' namespaces, and what becomes of one that cannot be."""

import json
import os
import uuid
from pathlib import Path

import httpx
import pytest

from maxcloud.knative import isolation
from maxcloud_local.engine import OF_THE_MAILER
from tests.journeys.platform import eventually
from tests.keyed.platform import Keyed, Person, registered
from tests.local import backend
from tests.local.backend import Engine


@pytest.fixture(autouse=True)
def _on_the_engine(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--platform") != "local":
        pytest.skip("is about the engine")


@pytest.fixture
def ada(keyed: Keyed, tmp_path: Path) -> Person:
    return registered(keyed, tmp_path, "ada")


def engine_of(keyed: Keyed) -> Engine:
    assert isinstance(keyed.platform.backend, Engine)
    return keyed.platform.backend


def test_an_organisation_gets_a_namespace_with_all_that_bounds_it(
    keyed: Keyed, ada: Person
) -> None:
    org_id = uuid.UUID(ada("auth", "status", "--quiet").out.strip())

    def missing() -> list[str]:
        paths = [
            isolation.path_of(each)[1] for each in isolation.objects(org_id, f"mc-org-{org_id}")
        ]
        return [path for path in paths if not is_there(engine_of(keyed), path)]

    eventually("objects", missing, 30, lambda left: left == [])


def is_there(engine: Engine, path: str) -> bool:
    try:
        engine.kubernetes("GET", path)
    except httpx.HTTPStatusError as error:
        if error.response.status_code != 404:
            raise
        return False
    return True


def test_a_namespace_that_cannot_be_had_fails_the_service(keyed: Keyed, ada: Person) -> None:
    org_id = ada("auth", "status", "--quiet").out.strip()
    engine, path = engine_of(keyed), f"/api/v1/namespaces/mc-org-{org_id}"
    eventually("namespace", lambda: is_there(engine, path), 30, bool)
    engine.kubernetes(
        "PATCH",
        path,
        content=json.dumps({"metadata": {"labels": {"maxcloud.dev/org": "somebody-else"}}}),
        headers={"Content-Type": "application/merge-patch+json"},
    )
    name = f"o-{uuid.uuid4().hex[:8]}"
    failed = ada("deploy", keyed.platform.backend.sample, "--name", name, code=1)
    assert "NamespaceFailed" in failed.err
    assert "ask the operator" in failed.err
    services = f"/apis/serving.knative.dev/v1/namespaces/mc-org-{org_id}/services"
    assert engine.kubernetes("GET", services)["items"] == []


def test_it_keeps_its_secret_to_itself(keyed: Keyed) -> None:
    engine = engine_of(keyed)
    secret = engine.data / "secret-key"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text() not in engine.said()
    for step in ("auth register --email", "auth verify TOKEN", "deploy maxcloud.local/hello"):
        assert f"maxcloud {step}" in engine.said()


def test_without_mail_nobody_is_told_to_invite() -> None:
    environ = {name: value for name, value in os.environ.items() if name not in OF_THE_MAILER}
    with backend.engine("--auth", env=environ) as started:
        said = started.said()
    assert "maxcloud auth register" in said
    assert "SMTP_URL or RESEND_API_KEY lets you invite people" in said
    for step in ("auth verify", "invite create"):
        assert f"maxcloud {step}" not in said

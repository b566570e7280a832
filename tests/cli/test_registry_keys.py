"""`maxcloud platform registry-keys`: of the variable, of a cluster, and without either."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from maxcloud import registry
from maxcloud_local import kinds
from tests.cli.conftest import Done, Maxcloud
from tests.local.apiserver import ApiServer, an_object, api_in_the_background

NEW, OLD = "n" * 32, "o" * 32


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    with api_in_the_background(tmp_path) as running:
        yield running


def keep(api: ApiServer, **data: str) -> None:
    """Make Secret `registry` as `platform install` does."""
    api.store.create(kinds.NAMESPACE, an_object(kinds.NAMESPACE, "mc-system"))
    encoded = {
        key.replace("_", "-"): base64.b64encode(value.encode()).decode()
        for key, value in data.items()
    }
    api.store.create(kinds.SECRET, an_object(kinds.SECRET, "registry", "mc-system", data=encoded))


def printed(env: dict[str, str], *options: str) -> Done:
    # The Kubernetes client warns of itself while it is imported.
    return Maxcloud(env)("platform", "registry-keys", *options)


def test_of_the_variable_while_rotating(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "KUBECONFIG": "/nowhere", "REGISTRY_JWT_SECRET": f"{NEW},{OLD}"}
    done = printed(env)
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == registry.jwks([NEW, OLD])
    assert NEW not in done.out
    short = printed(env, "--quiet")
    assert json.loads(short.out) == json.loads(done.out)
    assert short.out.count("\n") == 1


def test_of_the_cluster(api: ApiServer) -> None:
    keep(api, jwt_secret=f"{NEW},{OLD}", http_secret="h" * 32)
    done = printed(api.environment)
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == registry.jwks([NEW, OLD])


def test_a_context_that_is_named_counts_more_than_the_variable(api: ApiServer) -> None:
    keep(api, jwt_secret=NEW)
    env = api.environment | {"REGISTRY_JWT_SECRET": OLD}
    assert json.loads(printed(env).out) == registry.jwks([OLD])
    [context] = [
        line.removeprefix("current-context: ")
        for line in api.kubeconfig.read_text().splitlines()
        if line.startswith("current-context: ")
    ]
    assert json.loads(printed(env, "--context", context).out) == registry.jwks([NEW])


@pytest.mark.parametrize("data", [{}, {"http_secret": "h" * 32}])
def test_of_a_cluster_without_a_registry(api: ApiServer, data: dict[str, str]) -> None:
    if data:
        keep(api, **data)
    done = printed(api.environment)
    assert (done.code, done.out) == (1, "")
    assert "there is no jwt-secret in Secret registry of mc-system" in done.err


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [("short", "at least 32 bytes"), ("-----BEGIN nonsense", "P-256"), ("", "kubeconfig")],
)
def test_what_is_none(tmp_path: Path, secret: str, sentence: str) -> None:
    env = {"HOME": str(tmp_path), "KUBECONFIG": "/nowhere", "REGISTRY_JWT_SECRET": secret}
    done = printed(env)
    assert (done.code, done.out) == (1, "")
    assert sentence in done.err
    assert done.err.count("\n") == 2

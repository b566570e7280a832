"""A namespace whose quota is used up, as a user reads it. The engine has no quotas."""

from collections.abc import Iterator

import pytest

from tests.cluster.backend import NAMESPACE
from tests.cluster.environment import kubectl
from tests.journeys.platform import Platform

# Far more than the tests beside this one use, and less than what is asked for here.
MEMORY, ASKED = "100Gi", "128Gi"


@pytest.fixture
def quota() -> Iterator[None]:
    hard = f"--hard=requests.memory={MEMORY}"
    kubectl("create", "quota", "journeys", hard, "-n", NAMESPACE)
    # Until its controller has counted, the API server may not know of it.
    counted = r"--for=jsonpath={.status.hard.requests\.memory}"
    kubectl("wait", "quota/journeys", "-n", NAMESPACE, f"{counted}={MEMORY}", "--timeout=30s")
    yield
    kubectl("delete", "quota", "journeys", "-n", NAMESPACE)


@pytest.mark.usefixtures("quota")
def test_a_quota_that_is_used_up_is_told_in_words(
    platform: Platform, name: str, web: tuple[str, str]
) -> None:
    failed = platform.maxcloud("deploy", web[0], "--name", name, "--memory", ASKED, code=1)
    assert "QuotaExceeded" in failed.err
    assert "the organisation's quota leaves no room" in failed.err
    assert f"requests.memory={MEMORY}" in failed.err
    assert "--memory" in failed.err

"""How much is generated: the same every time in `make test`, far more in `make test-long`."""

import pytest
from hypothesis import HealthCheck, settings

# What `make test-long` sends to the API in all.
REQUESTS = 20_000

settings.register_profile(
    "common",
    # How slow a machine is, is no property; nor is that few of many generated bodies fit a schema.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
_COMMON = settings.get_profile("common")
settings.register_profile("quick", _COMMON, max_examples=25, derandomize=True, database=None)
settings.register_profile("long", _COMMON, max_examples=2_000)


def load(config: pytest.Config) -> None:
    """Choose the profile that `--long` asks for; its seed is `--hypothesis-seed`."""
    settings.load_profile("long" if config.getoption("long") else "quick")

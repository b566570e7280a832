"""The container engine of this machine, and what is asked of it."""

import subprocess
import uuid
from typing import Any

import pytest

from maxcloud_local.instances.containers import LABEL
from maxcloud_local.instances.engines import Engine
from tests.local.backend import container_engine
from tests.local.nursery import Nursery, revision

ENGINE = container_engine()

NEEDS_ENGINE = pytest.mark.skipif(
    ENGINE is None, reason="no container engine answers on this machine: install Podman or Docker"
)

# What only these tests started, so that they may look for leftovers.
OWNER = f"test-{uuid.uuid4().hex[:8]}"

PORTS = [{"containerPort": 8080}]


def engine(*arguments: str) -> str:
    assert ENGINE is not None
    done = subprocess.run([ENGINE, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def containers() -> list[str]:
    """Return what is there of these tests' containers."""
    return engine("ps", "--all", "--quiet", "--filter", f"label={LABEL}={OWNER}").split()


def shell(image: str, script: str, **container: Any) -> Any:
    """Return a revision that runs a script."""
    return revision(image, command=["/bin/sh", "-c"], args=[script], **container)


def limits(**values: str) -> dict[str, Any]:
    return {"resources": {"limits": values}}


async def engine_of(here: Nursery) -> Engine:
    found = await here.engines.find()
    assert found is not None
    return found
